// Sets generated text word by word; what has settled becomes one plain text node, so that long texts stay light.

const BETWEEN_WORDS_MS = 18;

class Words {
  #settled;
  #fresh;

  constructor(element) {
    this.#settled = document.createTextNode("");
    this.#fresh = document.createElement("span");
    const caret = document.createElement("span");
    caret.className = "words__caret";
    caret.setAttribute("aria-hidden", "true");
    element.replaceChildren(this.#settled, this.#fresh, caret);
  }

  clear() {
    this.#settled.data = "";
    this.#fresh.replaceChildren();
  }

  add(text) {
    this.#settled.data += this.#fresh.textContent;
    const words = text.split(/(?<=\s)/u).map((word, place) => {
      const span = document.createElement("span");
      span.className = "is-new";
      span.style.animationDelay = `${Math.min(place, 40) * BETWEEN_WORDS_MS}ms`;
      span.textContent = word;
      return span;
    });
    this.#fresh.replaceChildren(...words);
  }
}

// One text of a job: its words, and a line that says why it ends. The page's own words for that are in studio.py.
export class Text {
  numTokens = 0;
  #words;
  #end;

  constructor(element) {
    this.#words = new Words(element.querySelector(".words"));
    this.#end = element.querySelector(".text__end");
  }

  clear() {
    this.numTokens = 0;
    this.#words.clear();
    this.#end.textContent = "";
  }

  add({ text, num_tokens: numTokens, finish_reason: reason }) {
    this.numTokens = numTokens;
    if (text) this.#words.add(text);
    if (reason === "stop") this.#end.textContent = "Ended by itself";
    else if (reason === "length") this.#end.textContent = `Cut at ${numTokens} tokens`;
  }
}
