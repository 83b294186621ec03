// What each word drew: lays a veil over the picture that is thin where the chosen word had most to say.

const THICK = 0.88; // the veil where the word had nothing to say

class Heat {
  #canvas = document.querySelector(".exhibit__heat");
  #row;
  #place;
  #shown = null;

  constructor(row) {
    this.#row = row;
    this.#place = row.querySelector("[data-heat-place]");
    for (const word of row.querySelectorAll(".heat__word")) {
      word.addEventListener("pointerenter", ({ pointerType }) => { if (pointerType === "mouse") this.#show(word); });
      word.addEventListener("pointerleave", () => this.#show(this.#pressed));
      word.addEventListener("focus", () => this.#show(word));
      word.addEventListener("blur", () => this.#show(this.#pressed));
      word.addEventListener("click", () => this.#press(word));
    }
  }

  get #pressed() { return this.#row.querySelector("[aria-pressed=true]"); }

  #press(word) {
    const wasPressed = word === this.#pressed;
    this.#pressed?.setAttribute("aria-pressed", "false");
    word.setAttribute("aria-pressed", String(!wasPressed));
    this.#show(wasPressed ? null : word);
  }

  #show(word) {
    if (word === this.#shown) return;
    this.#shown = word;
    this.#canvas.classList.toggle("is-shown", Boolean(word));
    this.#place.textContent = word?.dataset.place ?? "";
    if (word) this.#draw(Uint8Array.from(atob(word.dataset.map), (char) => char.charCodeAt(0)));
  }

  #draw(values) {
    const grid = Number(this.#row.dataset.grid);
    const most = Math.max(1, ...values);
    const pixels = new ImageData(grid, grid);
    values.forEach((value, tile) => { pixels.data[tile * 4 + 3] = 255 * THICK * (1 - value / most); });
    const small = new OffscreenCanvas(grid, grid);
    small.getContext("2d").putImageData(pixels, 0, 0);
    const side = this.#canvas.width = this.#canvas.height = Math.round((this.#canvas.clientWidth || 512) * devicePixelRatio);
    const context = this.#canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(small, 0, 0, side, side);
    context.globalCompositeOperation = "source-in";
    context.fillStyle = getComputedStyle(this.#canvas).getPropertyValue("--veil");
    context.fillRect(0, 0, side, side);
  }
}

const row = document.querySelector("[data-heat]");
if (row) new Heat(row);
