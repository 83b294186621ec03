// The editor: marks on a picture what is drawn anew. Every mark is an operation, so that undo replays the others.

import { MaskCanvas } from "./mask.js";

const LEAST_SIDE_PX = 256;
const MOST_SIDE_PX = 1024; // what the studio keeps of an upload

const loaded = async (address) => {
  const image = new Image();
  image.src = address;
  await image.decode();
  return image;
};
const fileOf = (canvas) => new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });

export class Editor {
  #dialog;
  #canvas;
  #mask = null;
  #picture = null;
  #stroke = null;
  #apply = null;
  #listeners = null;

  constructor(dialog) {
    this.#dialog = dialog;
    this.#canvas = dialog.querySelector("canvas");
  }

  // Shows the picture; `apply` gets { picture, mask } as PNG files, `picture` null where it stays as it was.
  async open({ address, maskAddress }, apply) {
    this.#apply = apply;
    this.#listeners = new AbortController();
    this.#problem("");
    this.#dialog.querySelector("#editor-zoom").value = "0";
    this.#dialog.showModal();
    this.#listen();
    try {
      this.#picture = await loaded(address);
      const { naturalWidth: width, naturalHeight: height } = this.#picture;
      const isKept = width === height && width >= LEAST_SIDE_PX && width <= MOST_SIDE_PX;
      const side = isKept ? width : Math.min(MOST_SIDE_PX, Math.max(LEAST_SIDE_PX, width, height));
      this.#mask = new MaskCanvas(side, this.#picture);
      if (maskAddress) this.#mask.add({ kind: "picture", picture: await loaded(maskAddress) });
      this.#canvas.width = this.#canvas.height = side;
      this.#show();
    } catch {
      this.#problem("This picture cannot be shown. Close this and choose it again.");
    }
  }

  #find(selector) { return this.#dialog.querySelector(selector); }
  get #isErasing() { return this.#find("[name=editor-brush]:checked").value === "erase"; }

  #listen() {
    const on = (target, kind, act) => target.addEventListener(kind, act, { signal: this.#listeners.signal });
    on(this.#dialog, "close", () => this.#listeners.abort());
    for (const button of this.#dialog.querySelectorAll("[data-editor-close]")) on(button, "click", () => this.#dialog.close());
    for (const button of this.#dialog.querySelectorAll("[data-editor-do]")) on(button, "click", () => this.#do(button.dataset.editorDo));
    on(this.#find("[data-editor-apply]"), "click", () => this.#finish());
    on(this.#find("#editor-size"), "input", ({ target }) => { target.nextElementSibling.textContent = `${target.value} %`; });
    on(this.#find("#editor-zoom"), "input", () => this.#show());
    on(this.#canvas, "pointerdown", (event) => this.#begin(event));
    on(this.#canvas, "pointermove", (event) => this.#continue(event));
    for (const kind of ["pointerup", "pointercancel"]) on(this.#canvas, kind, () => { this.#stroke = null; this.#say(); });
  }

  #do(what) {
    if (!this.#mask) return;
    this.#problem("");
    if (what === "undo") this.#mask.undo();
    else if (what === "box") this.#addBox();
    else this.#mask.add({ kind: what });
    this.#show();
  }

  #addBox() {
    const [left, top, width, height] = ["left", "top", "width", "height"].map((name) => this.#find(`#editor-${name}`));
    const wrong = [left, top, width, height].find((field) => field.value === "" || !field.checkValidity());
    if (wrong) {
      this.#problem(`${wrong.labels[0].textContent.trim()}: a whole number from 0 to 100, please.`);
      wrong.focus();
      return;
    }
    const [x, y, across, down] = [left, top, width, height].map((field) => Number(field.value) / 100);
    this.#mask.add({ kind: "box", x, y, width: across, height: down, isErasing: this.#isErasing });
  }

  // Where the pointer is, as shares of the frame.
  #place(event) {
    const { left, top, width, height } = this.#canvas.getBoundingClientRect();
    return [(event.clientX - left) / width, (event.clientY - top) / height];
  }

  #begin(event) {
    if (!this.#mask || event.button !== 0) return;
    event.preventDefault();
    this.#problem("");
    this.#canvas.setPointerCapture(event.pointerId);
    const width = Number(this.#find("#editor-size").value) / 100;
    this.#stroke = { kind: "stroke", isErasing: this.#isErasing, width, points: [this.#place(event)] };
    this.#mask.add(this.#stroke);
    this.#draw();
  }

  #continue(event) {
    if (!this.#stroke) return;
    const passed = event.getCoalescedEvents?.() ?? [];
    for (const each of passed.length > 0 ? passed : [event]) this.#mask.extend(this.#stroke, this.#place(each));
    this.#draw();
  }

  #show() {
    if (!this.#mask) return;
    const zoom = this.#find("#editor-zoom");
    zoom.nextElementSibling.textContent = `${zoom.value} %`;
    this.#mask.zoomOut(Number(zoom.value) / 100);
    this.#draw();
    this.#say();
  }

  #draw() { this.#mask.drawOn(this.#canvas); }

  #say() {
    const percent = Math.round(this.#mask.share * 100);
    const words = percent === 0 && this.#mask.share === 0 ? "Nothing is marked yet: paint over what should change."
      : `About ${Math.max(1, percent)} % of the frame is drawn anew.`;
    const line = this.#find("[data-editor-share]");
    if (line.textContent !== words) line.textContent = words;
  }

  #problem(text) {
    const line = this.#find("[data-editor-problem]");
    line.hidden = !text;
    line.querySelector("span").textContent = text;
  }

  async #finish() {
    if (!this.#mask) return;
    if (this.#mask.share === 0) return this.#problem("Nothing is marked: paint, add a rectangle, zoom out, or take the whole picture.");
    const button = this.#find("[data-editor-apply]");
    button.disabled = true;
    try {
      const picture = this.#mask.isAsGiven ? null : await fileOf(this.#mask.framed());
      await this.#apply({ picture, mask: await fileOf(this.#mask.asFile()) });
      this.#dialog.close();
    } catch (error) {
      this.#problem(error.message);
    } finally {
      button.disabled = false;
    }
  }
}
