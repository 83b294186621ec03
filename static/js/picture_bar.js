// The picture's part of the prompt bar: what the chosen net can do, its styles, and the picture to start from.

import { Editor } from "./editor.js";

const FULL_STRENGTH = "1"; // a part that is marked is meant to change

const pictureOfDraft = new Map(); // seed -> data URL: the bar is replaced after each run, the drafts stay known
const starts = new WeakMap();

export function startOf(form) { return starts.get(form); }

export function csrfToken() { return document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? ""; }

async function upload(form, file, name) {
  const body = new FormData();
  body.append("file", file, name);
  let answer;
  try {
    answer = await fetch(form.dataset.uploads, { method: "POST", body, headers: { "X-CSRFToken": csrfToken() } });
  } catch {
    throw new Error("The studio did not answer. Check the connection and try again.");
  }
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(told.message ?? `The studio could not take this file (${answer.status}).`);
  return told;
}

// What a picture begins with: three hidden fields, shown as one chip.
class StartPicture {
  #form;
  #chip;

  constructor(form) {
    this.#form = form;
    this.#chip = form.querySelector("[data-start]");
    this.#find("[data-start-edit]").hidden = this.#find("[data-start-remove]").hidden = false;
    this.#find("[data-start-remove]").addEventListener("click", () => { this.set({}); form.elements.prompt.focus(); });
    this.#find("[data-start-edit]").addEventListener("click", () => this.edit());
    const strength = form.elements["image-strength"];
    strength.addEventListener("input", () => this.#showStrength());
    this.#setUpFiles();
    this.#show();
  }

  get #image() { return this.#form.elements["image-start_image"]; }
  get #mask() { return this.#form.elements["image-mask"]; }
  get draftSeed() { return this.#form.elements["image-draft_seed"].value; }

  #find(selector) { return this.#chip.querySelector(selector); }

  // Begin with an upload or an artifact ({ id, url }), part of it, or a draft; with nothing of these, from nothing.
  set({ image = null, mask = null, draftSeed = "", draftPicture = "" }) {
    for (const [field, given] of [[this.#image, image], [this.#mask, mask]]) {
      field.value = given?.id ?? "";
      field.dataset.address = given?.url ?? "";
    }
    this.#form.elements["image-draft_seed"].value = draftSeed;
    if (draftPicture) pictureOfDraft.set(draftSeed, draftPicture);
    this.problem("");
    this.#show();
    document.dispatchEvent(new CustomEvent("tessera:start"));
  }

  problem(text) {
    const line = this.#form.querySelector("[data-start-problem]");
    line.hidden = !text;
    line.querySelector("span").textContent = text;
  }

  #show() {
    const isGiven = this.#image.value !== "" || this.draftSeed !== "";
    this.#chip.hidden = !isGiven;
    this.#form.querySelector("[data-start-add]").hidden = isGiven;
    this.#find("[data-start-edit]").hidden = this.#image.value === "";
    const [word, address] = this.draftSeed !== "" ? ["From a draft", pictureOfDraft.get(this.draftSeed)]
      : [this.#mask.value ? "Part of a picture" : "From a picture", this.#image.dataset.address];
    this.#find("[data-start-words]").textContent = word;
    const image = new Image(40, 40);
    image.alt = "";
    if (address) image.src = address;
    this.#find(".start__picture").replaceChildren(...(address ? [image] : []));
    this.#showStrength();
  }

  #showStrength() {
    const strength = this.#form.elements["image-strength"];
    this.#find("[data-strength]").textContent = `${Math.round(strength.value * 100)} %`;
  }

  async edit() {
    const editor = new Editor(document.getElementById("editor"));
    const from = { address: this.#image.dataset.address, maskAddress: this.#mask.dataset.address };
    await editor.open(from, async ({ picture, mask }) => {
      const now = { id: this.#image.value, url: this.#image.dataset.address };
      const image = picture ? await upload(this.#form, picture, "start.png") : now;
      this.set({ image, mask: await upload(this.#form, mask, "mask.png") });
      this.#form.elements["image-strength"].value = FULL_STRENGTH;
      this.#showStrength();
    });
  }

  // By the button, by dropping it on the page, or by pasting it into the prompt.
  #setUpFiles() {
    const chooser = this.#form.querySelector("[data-start-file]");
    this.#form.querySelector("[data-start-add]").addEventListener("click", () => chooser.click());
    chooser.addEventListener("change", () => {
      if (chooser.files.length > 0) this.take(chooser.files[0]);
      chooser.value = "";
    });
  }

  async take(file) {
    const bar = this.#form.closest(".bar");
    bar.setAttribute("aria-busy", "true");
    this.problem("");
    try {
      this.set({ image: await upload(this.#form, file, file.name || "picture.png") });
    } catch (error) {
      this.problem(error.message);
    } finally {
      bar.removeAttribute("aria-busy");
    }
  }
}

const netOf = (form, kind) => {
  const select = form.elements[`${kind}-net`];
  return JSON.parse(select.dataset.nets)[select.value];
};

// Styles and adapters stand in groups, one for each net: only those of the chosen net are offered.
function offerOfNet(form, kind, net) {
  for (const select of form.querySelectorAll(`select[data-of-net][name^="${kind}-"]`)) {
    if (!select.allGroups) {
      select.allGroups = [...select.querySelectorAll("optgroup")];
      select.firstChoice = select.querySelector(":scope > option");
    }
    if (select.allGroups.length === 0) continue;
    const chosen = select.value;
    const own = select.allGroups.find((group) => group.label === `For ${net?.title}`);
    const options = own ? [...own.children].map((option) => option.cloneNode(true)) : [];
    const isOptional = select.name !== "image-style" || options.length === 0;
    select.replaceChildren(...(isOptional ? [select.firstChoice.cloneNode(true)] : []), ...options);
    select.value = chosen;
    if (select.selectedIndex < 0) select.selectedIndex = 0;
    select.closest(".picture-row__style")?.toggleAttribute("hidden", options.length < 2);
  }
}

function showWhatItCan(form, net) {
  for (const part of form.querySelectorAll("[data-needs]")) {
    const isAble = !net || net.can.includes(part.dataset.needs);
    part.classList.toggle("is-unable", !isAble);
    part.title = isAble ? "" : `Not with ${net.title}`;
    const controls = part.matches("fieldset, button") ? [part] : part.querySelectorAll("input, select, textarea, [data-start-edit]");
    for (const control of controls) control.disabled = !isAble;
    const hint = part.matches(".field") ? part.querySelector(".field__hint") : null;
    hint?.querySelector(".field__cannot")?.remove();
    if (hint && !isAble) {
      const words = document.createElement("strong");
      words.className = "field__cannot";
      words.textContent = `Not with ${net.title}. `;
      hint.prepend(words);
    }
  }
}

export function setUpPictureBar(form) {
  if (!form.elements["image-net"]) return;
  const start = new StartPicture(form);
  starts.set(form, start);
  for (const kind of ["text", "image"]) {
    const show = () => {
      offerOfNet(form, kind, netOf(form, kind));
      if (kind === "image") showWhatItCan(form, netOf(form, kind));
    };
    form.elements[`${kind}-net`].addEventListener("change", show);
    show();
  }
  for (const picker of form.querySelectorAll("[data-picks]")) {
    picker.addEventListener("input", () => { document.getElementById(picker.dataset.picks).checked = true; });
  }
  if ("openEditor" in form.dataset) start.edit();
}

// Where a picture may be dropped or pasted: anywhere on a page whose bar is set to pictures.
const formForFiles = () => {
  const form = document.querySelector("[data-prompt-form]");
  return form?.elements.kind.value === "image" && !document.querySelector("dialog[open]") ? form : null;
};
const picturesIn = (transfer) => [...(transfer?.files ?? [])].filter((file) => file.type.startsWith("image/"));

document.addEventListener("dragover", (event) => {
  if (formForFiles() && event.dataTransfer?.types.includes("Files")) event.preventDefault();
});
document.addEventListener("drop", (event) => {
  const form = formForFiles();
  if (!form || !event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  const [file] = event.dataTransfer.files;
  if (file) startOf(form).take(file);
});
document.addEventListener("paste", (event) => {
  const [file] = picturesIn(event.clipboardData);
  const form = formForFiles();
  if (!file || !form) return;
  event.preventDefault();
  startOf(form).take(file);
});
