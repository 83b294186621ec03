// What every page does: the ground, the keys, and the prompt bar (kinds, drafts, count, more).

import { setUpPictureBar } from "./picture_bar.js";
import { storage } from "./storage.js";

function isNight() {
  const chosen = document.documentElement.dataset.ground;
  return chosen ? chosen === "night" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function showGround() {
  for (const use of document.querySelectorAll("[data-ground-toggle] use")) {
    use.setAttribute("href", use.getAttribute("href").replace(/#.*/, isNight() ? "#sun" : "#moon"));
  }
}

function promptForm() { return document.querySelector("[data-prompt-form]"); }

function setUpPromptBar(form) {
  if (!form || form.dataset.ready) return;
  form.dataset.ready = "yes";
  const prompt = form.elements.prompt;
  const count = form.querySelector("#prompt-count");
  const kindNow = () => form.elements.kind.value;
  const drafts = { text: prompt.dataset.draftText, image: prompt.dataset.draftImage };
  let kind = kindNow();

  const showCount = () => {
    const length = [...prompt.value].length;
    const max = Number(kind === "text" ? prompt.dataset.maxText : prompt.dataset.maxImage);
    count.hidden = length < max * 0.8;
    count.classList.toggle("is-over", length > max);
    count.textContent = `${length.toLocaleString("en")} of at most ${max.toLocaleString("en")} characters`;
  };
  prompt.addEventListener("input", showCount);
  for (const radio of form.querySelectorAll("[name=kind]")) {
    radio.addEventListener("change", () => {
      drafts[kind] = prompt.value;
      kind = kindNow();
      prompt.value = drafts[kind];
      prompt.placeholder = kind === "text" ? prompt.dataset.placeholderText : prompt.dataset.placeholderImage;
      showCount();
    });
  }
  showCount();

  const more = form.querySelector(".bar__more");
  const panel = form.querySelector("#more");
  more.addEventListener("click", () => {
    panel.hidden = !panel.hidden;
    more.setAttribute("aria-expanded", String(!panel.hidden));
  });
  setUpPictureBar(form);
  const wrong = form.querySelector("[aria-invalid=true]");
  if (wrong) wrong.focus();
}

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  if (target?.closest("[data-ground-toggle]")) {
    const ground = isNight() ? "bone" : "night";
    document.documentElement.dataset.ground = ground;
    storage.set("tessera-ground", ground);
    showGround();
  }
  if (target?.closest("[data-keys]")) document.getElementById("keys").showModal();
  const backing = target?.closest("[data-backing-choice]");
  if (backing) {
    document.querySelector(".exhibit__picture").dataset.backing = backing.dataset.backingChoice;
    for (const other of document.querySelectorAll("[data-backing-choice]")) {
      other.setAttribute("aria-pressed", String(other === backing));
    }
  }
});

document.addEventListener("change", (event) => {
  if (event.target instanceof HTMLSelectElement && "go" in event.target.dataset) event.target.form.submit();
});

document.addEventListener("keydown", (event) => {
  const isTyping = event.target instanceof Element && event.target.closest("input, textarea, select");
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    const form = promptForm();
    if (form && !document.querySelector("dialog[open]")) { event.preventDefault(); form.requestSubmit(); }
  } else if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
    const panel = document.querySelector("#more:not([hidden])");
    if (panel?.contains(event.target)) document.querySelector(".bar__more").click();
    else document.querySelector("[data-cancel]")?.click();
  } else if (event.key === "?" && !isTyping) {
    document.getElementById("keys").showModal();
  } else if (event.key === "/" && !isTyping && promptForm()) {
    event.preventDefault();
    promptForm().elements.prompt.focus();
  }
});

// An answer that never came, said where the person looks; what they typed stays.
function showNotice(text) {
  const notice = document.createElement("div");
  notice.className = "notice notice--bad";
  notice.setAttribute("role", "alert");
  notice.textContent = text;
  document.getElementById("notice")?.replaceChildren(notice);
}
document.addEventListener("htmx:sendError", () => {
  showNotice("The studio did not answer. Check the connection and try again; what is here stays.");
});
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.xhr.status < 400 || !/^\s*<!doctype/i.test(detail.xhr.responseText)) return;
  detail.shouldSwap = false; // a whole page, meant for a window of its own
  showNotice(`The studio could not do that (${detail.xhr.status}). Try again; if it stays so, reload the page.`);
});
// The token of today: whoever signed in again in another tab has a new one.
document.addEventListener("htmx:configRequest", ({ detail }) => {
  const token = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1];
  if (token && detail.verb !== "get") detail.parameters.csrfmiddlewaretoken = token;
});
document.addEventListener("htmx:load", () => setUpPromptBar(promptForm()));
setUpPromptBar(promptForm());
showGround();
