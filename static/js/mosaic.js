// Draws a picture that is coming into being: every decided tile is set, in the order in which the net decided it.

const SETTLE_MS = 200;
const JOINT = 0.1; // share of a tile's width that stays open between two tiles

const isStill = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export class Mosaic {
  #canvas;
  #context;
  #step = 0;
  #colours = [];
  #settling = new Map(); // tile -> moment when it began
  #picture = null;
  #side = 16;
  #isWhole = false;
  #frame = 0;

  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.clear();
  }

  clear() {
    this.#step = 0;
    this.#colours = [];
    this.#settling.clear();
    this.#picture = null;
    this.#isWhole = false;
    this.#draw();
  }

  // One preview event of the contract.
  async show(preview) {
    this.#step = Math.max(this.#step, preview.step);
    const picture = new Image();
    picture.src = preview.image;
    try { await picture.decode(); } catch { return; }
    if (preview.step < this.#step) return; // a newer one came while this was decoded
    this.#side = Math.round(Math.sqrt(preview.num_tiles));
    this.#isWhole = preview.num_decided === preview.num_tiles;
    this.#picture = picture;
    this.#findNewTiles();
    this.#draw();
  }

  #findNewTiles() {
    const side = this.#side;
    const small = new OffscreenCanvas(side, side);
    const context = small.getContext("2d", { willReadFrequently: true });
    context.drawImage(this.#picture, 0, 0, side, side);
    const { data } = context.getImageData(0, 0, side, side);
    const now = performance.now();
    for (let tile = 0; tile < side * side; tile++) {
      const colour = data[tile * 4 + 3] === 0 ? "" : data.slice(tile * 4, tile * 4 + 4).join();
      const isNew = colour !== "" && (this.#colours[tile] ?? "") === "";
      if (isNew && !isStill()) this.#settling.set(tile, now + Math.random() * SETTLE_MS);
      this.#colours[tile] = colour;
    }
  }

  #draw() {
    cancelAnimationFrame(this.#frame);
    const pixels = Math.round((this.#canvas.clientWidth || 512) * devicePixelRatio);
    if (this.#canvas.width !== pixels) this.#canvas.width = this.#canvas.height = pixels;
    const style = getComputedStyle(this.#canvas);
    const grout = style.getPropertyValue("--grout");
    const plaster = style.getPropertyValue("--plaster");
    const width = pixels / this.#side;
    const now = performance.now();
    this.#context.clearRect(0, 0, pixels, pixels);
    for (let tile = 0; tile < this.#side ** 2; tile++) {
      const begun = this.#settling.get(tile);
      const share = begun === undefined ? 1 : Math.min(1, Math.max(0, (now - begun) / SETTLE_MS));
      if (share === 1) this.#settling.delete(tile);
      this.#drawTile(tile, width, share, grout, plaster);
    }
    if (this.#settling.size > 0) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #drawTile(tile, width, share, grout, plaster) {
    const column = tile % this.#side;
    const row = Math.floor(tile / this.#side);
    const joint = width * JOINT;
    const square = (inset) => [column * width + inset, row * width + inset, width - 2 * inset, width - 2 * inset];
    const isSet = this.#isWhole || (this.#colours[tile] ?? "") !== "";
    this.#context.fillStyle = grout;
    if (!isSet || share < 1) this.#context.fillRect(...square(joint / 2));
    if (!isSet || !this.#picture) return;
    const inset = joint / 2 + (width / 2 - joint / 2) * (1 - share) ** 2;
    const source = this.#picture.width / this.#side;
    this.#context.fillStyle = plaster;
    this.#context.fillRect(...square(inset));
    // Half a pixel inside, so that no neighbour bleeds in.
    this.#context.drawImage(this.#picture, column * source + 0.5, row * source + 0.5, source - 1, source - 1, ...square(inset));
  }
}
