// A picture in its square frame and what is marked on it. Places and sizes are shares of the frame's side.

const HATCH_PX = 12;
const MARK_ALPHA = 0.5;
const SHARE_SIDE = 64; // the share is counted on a copy this small
const SEEN_ALPHA = 8; // of 255: less is outside the picture

const sheet = (side) => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  return canvas;
};

export class MaskCanvas {
  #side;
  #picture;
  #operations = [];
  #zoom = 0;
  #marks; // opaque where it is drawn anew

  constructor(side, picture) {
    this.#side = side;
    this.#picture = picture;
    this.#marks = sheet(side);
  }

  add(operation) {
    this.#operations.push(operation);
    this.#perform(operation);
  }

  extend(stroke, point) {
    const from = stroke.points.at(-1);
    stroke.points.push(point);
    this.#line(stroke, [from, point]);
  }

  undo() {
    this.#operations.pop();
    this.#replay();
  }

  zoomOut(share) {
    if (share === this.#zoom) return;
    this.#zoom = share;
    this.#replay();
  }

  // Whether the picture fills the frame just as it came.
  get isAsGiven() {
    const { naturalWidth: width, naturalHeight: height } = this.#picture;
    return this.#zoom === 0 && width === this.#side && height === this.#side;
  }

  get share() {
    const small = sheet(SHARE_SIDE).getContext("2d", { willReadFrequently: true });
    small.drawImage(this.#whole(), 0, 0, SHARE_SIDE, SHARE_SIDE);
    const { data } = small.getImageData(0, 0, SHARE_SIDE, SHARE_SIDE);
    let sum = 0;
    for (let place = 3; place < data.length; place += 4) sum += data[place];
    return sum / 255 / SHARE_SIDE ** 2;
  }

  // Where the picture lies in the frame: contained, in the middle.
  get #place() {
    const { naturalWidth: width, naturalHeight: height } = this.#picture;
    const scale = ((1 - this.#zoom) * this.#side) / Math.max(width, height);
    const [across, down] = [Math.round(width * scale), Math.round(height * scale)];
    return [Math.round((this.#side - across) / 2), Math.round((this.#side - down) / 2), across, down];
  }

  #replay() {
    this.#marks.getContext("2d").clearRect(0, 0, this.#side, this.#side);
    for (const operation of this.#operations) this.#perform(operation);
  }

  #perform(operation) {
    const context = this.#marks.getContext("2d");
    const side = this.#side;
    if (operation.kind === "stroke") this.#line(operation, operation.points);
    else if (operation.kind === "box") {
      context.globalCompositeOperation = operation.isErasing ? "destination-out" : "source-over";
      context.fillStyle = "white";
      context.fillRect(operation.x * side, operation.y * side, operation.width * side, operation.height * side);
      context.globalCompositeOperation = "source-over";
    } else if (operation.kind === "whole") {
      context.fillStyle = "white";
      context.fillRect(0, 0, side, side);
    } else {
      context.clearRect(0, 0, side, side);
      if (operation.kind === "outside") context.putImageData(this.#marked(this.framed(), (data, at) => data[at + 3] < SEEN_ALPHA), 0, 0);
      if (operation.kind === "picture") {
        const copy = sheet(side);
        copy.getContext("2d").drawImage(operation.picture, 0, 0, side, side);
        context.putImageData(this.#marked(copy, (data, at) => data[at] > 127 || data[at + 3] < 128), 0, 0);
      }
    }
  }

  #marked(canvas, isMarked) {
    const pixels = canvas.getContext("2d").getImageData(0, 0, this.#side, this.#side);
    const { data } = pixels;
    for (let at = 0; at < data.length; at += 4) data.fill(isMarked(data, at) ? 255 : 0, at, at + 4);
    return pixels;
  }

  #line({ isErasing, width }, points) {
    const context = this.#marks.getContext("2d");
    context.globalCompositeOperation = isErasing ? "destination-out" : "source-over";
    context.strokeStyle = "white";
    context.lineWidth = width * this.#side;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    for (const [x, y] of points.length === 1 ? [points[0], points[0]] : points) context.lineTo(x * this.#side, y * this.#side);
    context.stroke();
    context.globalCompositeOperation = "source-over";
  }

  // The marks with the room that zooming out has made.
  #whole() {
    const canvas = sheet(this.#side);
    const context = canvas.getContext("2d");
    if (this.#zoom > 0) {
      context.fillStyle = "white";
      context.fillRect(0, 0, this.#side, this.#side);
      context.clearRect(...this.#place);
    }
    context.drawImage(this.#marks, 0, 0);
    return canvas;
  }

  // The picture in its frame, transparent around it.
  framed() {
    const canvas = sheet(this.#side);
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#picture, ...this.#place);
    return canvas;
  }

  // White is drawn anew, black stays.
  asFile() {
    const canvas = sheet(this.#side);
    const context = canvas.getContext("2d");
    context.putImageData(this.#marked(this.#whole(), (data, at) => data[at + 3] > 127), 0, 0);
    context.globalCompositeOperation = "destination-over";
    context.fillStyle = "black";
    context.fillRect(0, 0, this.#side, this.#side);
    return canvas;
  }

  drawOn(canvas) {
    const style = getComputedStyle(canvas);
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, this.#side, this.#side);
    context.drawImage(this.framed(), 0, 0);
    const tint = sheet(this.#side);
    const tinted = tint.getContext("2d");
    tinted.drawImage(this.#whole(), 0, 0);
    tinted.globalCompositeOperation = "source-in";
    tinted.fillStyle = style.getPropertyValue("--mark");
    tinted.fillRect(0, 0, this.#side, this.#side);
    tinted.globalCompositeOperation = "source-atop"; // hatched, so that it shows on a picture of any colour
    tinted.strokeStyle = style.getPropertyValue("--mark-hatch");
    tinted.lineWidth = (HATCH_PX / 4) * (this.#side / 512);
    const step = HATCH_PX * (this.#side / 512);
    for (let at = -this.#side; at < this.#side; at += step) {
      tinted.beginPath();
      tinted.moveTo(at, 0);
      tinted.lineTo(at + this.#side, this.#side);
      tinted.stroke();
    }
    context.globalAlpha = MARK_ALPHA;
    context.drawImage(tint, 0, 0);
    context.globalAlpha = 1;
  }
}
