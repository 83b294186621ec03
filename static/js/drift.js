// The map of the page Drift and the small words of its form. Without this script the form works by its fields alone.

const STEP = 1; // percent of the map that an arrow key moves
const LEAP = 8;
const PLACES = 1; // decimals of a point

class DriftForm {
  #form;
  #plane;
  #labels = [];

  constructor(form) {
    this.#form = form;
    this.#plane = form.querySelector("[data-map]");
    form.addEventListener("input", () => this.#show());
    form.addEventListener("keydown", (event) => this.#submitByKey(event));
    if (this.#plane) this.#setUpMap();
    const colour = form.querySelector("[data-picks]");
    colour?.addEventListener("input", () => { form.querySelector(`#${colour.dataset.picks}`).checked = true; });
    this.#show();
    form.querySelector("[aria-invalid=true]")?.focus();
  }

  #setUpMap() {
    const plane = this.#plane;
    this.#labels = JSON.parse(plane.dataset.labels || "[]");
    // A finger may be about to scroll, so it chooses when it taps; a mouse or pen also drags.
    plane.addEventListener("click", (event) => this.#pointAt(event));
    plane.addEventListener("pointerdown", (event) => {
      if (event.button === 0 && event.pointerType !== "touch") plane.setPointerCapture(event.pointerId);
    });
    plane.addEventListener("pointermove", (event) => { if (plane.hasPointerCapture(event.pointerId)) this.#pointAt(event); });
    plane.addEventListener("keydown", (event) => {
      const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      const way = ways[event.key];
      if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      const far = event.shiftKey ? LEAP : STEP;
      const [right, down] = this.#point(this.#sets);
      this.#choose(right + way[0] * far, down + way[1] * far);
    });
  }

  #value(name) { return this.#form.elements[name]?.value ?? ""; }

  get #isBetween() { return this.#value("route") === "between"; }

  // Which end a click on the map sets.
  get #sets() { return this.#isBetween && this.#value("sets") === "to" ? "to" : "from"; }

  #point(which) {
    return ["right", "down"].map((side) => {
      const percent = Number.parseFloat(this.#value(`${which}_${side}`).replace(",", "."));
      return Number.isFinite(percent) ? Math.min(100, Math.max(0, percent)) : 50;
    });
  }

  #pointAt({ clientX, clientY }) {
    const { left, top, width, height } = this.#plane.getBoundingClientRect();
    this.#choose(((clientX - left) / width) * 100, ((clientY - top) / height) * 100);
  }

  #choose(right, down) {
    const which = this.#sets;
    const inside = (percent) => Number(Math.min(100, Math.max(0, percent)).toFixed(PLACES));
    this.#form.elements[`${which}_right`].value = inside(right);
    this.#form.elements[`${which}_down`].value = inside(down);
    this.#form.elements[which].value = "map";
    this.#show();
  }

  #near([right, down]) {
    const numRows = this.#labels.length;
    if (numRows === 0) return "";
    const row = this.#labels[Math.min(numRows - 1, Math.floor((down / 100) * numRows))];
    return row?.[Math.min(row.length - 1, Math.floor((right / 100) * row.length))] ?? "";
  }

  #show() {
    const form = this.#form;
    const distance = form.elements.distance;
    if (distance) form.querySelector("[data-distance]").textContent = Number(distance.value) > 0 ? `+${distance.value}` : distance.value;
    const seconds = Number(this.#value("num_frames")) / Number(this.#value("fps"));
    const lasts = form.querySelector("[data-lasts]");
    if (lasts) lasts.textContent = Number.isFinite(seconds) && seconds > 0 ? `plays for ${seconds.toFixed(1)} s` : "";
    if (this.#plane) this.#showMap();
  }

  #showMap() {
    const form = this.#form;
    form.querySelector("[data-sets]").hidden = !this.#isBetween;
    const points = { from: this.#point("from"), to: this.#point("to") };
    for (const [which, [right, down]] of Object.entries(points)) {
      form.querySelector(`[data-point=${which}]`).setAttribute("transform", `translate(${right} ${down})`);
      const near = this.#near(points[which]);
      const words = form.querySelector(`[data-near=${which}]`);
      if (words) words.textContent = near ? `Near ${near}` : "";
    }
    const isWay = this.#isBetween && this.#value("from") === "map" && this.#value("to") === "map";
    form.querySelector("[data-way]").setAttribute("d", isWay ? `M${points.from} L${points.to}` : "");
    const [right, down] = points[this.#sets];
    const near = this.#near([right, down]);
    const end = this.#sets === "to" ? "End" : "Start";
    form.querySelector("[data-where]").textContent = `${end}: ${right} right, ${down} down${near ? `, near ${near}` : ""}`;
  }

  // The studio's own key would run the prompt bar; here it starts the walk.
  #submitByKey(event) {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    event.stopPropagation();
    const isOnMap = event.target instanceof Element && event.target.closest("[data-map]");
    this.#form.requestSubmit(this.#form.querySelector(`.button[name=do][value=${isOnMap ? "picture" : "walk"}]`));
  }
}

function setUp() {
  const form = document.querySelector("[data-drift]");
  if (!form || form.dataset.ready) return;
  form.dataset.ready = "yes";
  new DriftForm(form);
}

document.addEventListener("htmx:load", setUp);
document.addEventListener("htmx:oobAfterSwap", ({ detail }) => {
  if (detail.target?.id === "stage") detail.target.scrollIntoView({ block: "nearest" });
});
setUp();
