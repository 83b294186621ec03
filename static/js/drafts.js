// Drafts while somebody types: four small pictures of the prompt so far, one of which can start the picture.

import { csrfToken, startOf } from "./picture_bar.js";
import { storage } from "./storage.js";

const PAUSE_MS = 400; // of typing, before drafts are asked for
const KEY = "tessera-drafts";

const strip = document.getElementById("drafts");
const form = () => document.querySelector("[data-prompt-form]");

class Drafts {
  #tiles = strip.querySelector(".drafts__tiles");
  #status = strip.querySelector("[role=status]");
  #switch = strip.querySelector("#drafts-on");
  #timer = 0;
  #asking = null;
  #shown = ""; // what the drafts on the page are of

  constructor() {
    this.#switch.checked = storage.get(KEY) !== "off";
    this.#switch.addEventListener("change", () => {
      storage.set(KEY, this.#switch.checked ? "on" : "off");
      this.#follow(0);
    });
    document.addEventListener("input", ({ target }) => { if (target.id === "prompt") this.#changed(); });
    document.addEventListener("change", ({ target }) => {
      if (["kind", "image-style", "image-net"].includes(target.name)) this.#changed(0);
    });
    document.addEventListener("tessera:start", () => this.#showChoice());
    this.#tiles.addEventListener("click", ({ target }) => this.#choose(target.closest("[data-draft]")));
    document.addEventListener("htmx:load", () => this.#show());
    this.#show();
  }

  get #isOn() { return this.#switch.checked && form()?.elements.kind.value === "image"; }
  get #wish() {
    const { elements } = form();
    return { prompt: elements.prompt.value.trim(), "image-style": elements["image-style"].value };
  }

  #show() {
    strip.hidden = form()?.elements.kind.value !== "image";
    this.#tiles.hidden = !this.#switch.checked;
    this.#showChoice();
  }

  #changed(pauseMs = PAUSE_MS) {
    this.#show();
    // A draft belongs to its prompt and style: with another one, it would start from a picture that nobody has seen.
    const start = startOf(form());
    if (start?.draftSeed && JSON.stringify(this.#wish) !== this.#shown) {
      start.set({});
      this.#say("The draft was let go: it belongs to what was written before.");
    }
    this.#follow(pauseMs);
  }

  #follow(pauseMs) {
    clearTimeout(this.#timer);
    this.#show();
    if (this.#isOn) this.#timer = setTimeout(() => this.#ask(), pauseMs);
    else this.#asking?.abort();
  }

  async #ask() {
    const wish = this.#wish;
    const key = JSON.stringify(wish);
    if (!wish.prompt || key === this.#shown) return;
    this.#asking?.abort();
    const asking = this.#asking = new AbortController();
    strip.setAttribute("aria-busy", "true");
    try {
      const headers = { "X-CSRFToken": csrfToken(), "HX-Request": "true" };
      const answer = await fetch(strip.dataset.address, { method: "POST", body: new URLSearchParams(wish), headers, signal: asking.signal });
      const html = answer.ok ? await answer.text() : "<p class='soft small'>No drafts just now.</p>";
      if (asking !== this.#asking) return;
      this.#tiles.innerHTML = html;
      this.#shown = this.#tiles.querySelector("[data-draft]") ? key : "";
      const number = this.#tiles.querySelectorAll("[data-draft]").length;
      this.#say(number > 0 ? `${number} drafts are there.` : this.#tiles.textContent.trim());
      this.#showChoice();
    } catch (error) {
      if (error.name !== "AbortError") this.#say("No drafts just now.");
    } finally {
      if (asking === this.#asking) strip.removeAttribute("aria-busy");
    }
  }

  #choose(button) {
    const start = startOf(form());
    if (!button || !start) return;
    const isChosen = start.draftSeed === button.dataset.draft;
    start.set(isChosen ? {} : { draftSeed: button.dataset.draft, draftPicture: button.querySelector("img").src });
  }

  #showChoice() {
    const chosen = startOf(form())?.draftSeed;
    for (const button of this.#tiles.querySelectorAll("[data-draft]")) {
      button.setAttribute("aria-pressed", String(button.dataset.draft === chosen));
    }
  }

  #say(text) { this.#status.textContent = text; }
}

if (strip && form()) new Drafts();
