// One job, live: follows its numbered log over a socket and shows it. Nothing is lost and nothing shown twice:
// events are applied in the order of their seq, a repeat is ignored, a gap or a lost connection resumes after the
// last one. A reload replays the log from its start.

import { Mosaic } from "./mosaic.js";
import { Text } from "./words.js";

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 15_000;
const LONGEST_SILENCE_MS = 12_000; // the server says something every 3 s
const SAY_EVERY_MS = 5_000;
const MAX_COURSE_TILES = 32;
const NOT_SIGNED_IN = 4401;
const NOT_FOUND = 4404;
const NORMAL_END = 1000;
const TRY_AGAIN_LATER = 1013;
const REPLAY_MS = 800;
const NEWER_ESTIMATE_WEIGHT = 0.4; // how far the seconds left follow each new estimate
const LATE_MS = 3_000;

const STATE_WORDS = {
  queued: "Waiting", running: "In progress", succeeded: "Done", failed: "Failed",
  cancelled: "Cancelled", expired: "Expired", blocked: "Blocked", held: "Held for review",
};

// What each kind of event changes on the page. A test compares the names with the contract's.
const handlers = {
  queued(view) { view.setStatus("queued"); view.clearWork(); },
  started(view, event) { view.setStatus("running"); view.clearWork(); view.setCourse(0, event.num_steps); },
  text(view, event) { view.write(event); },
  preview(view, event) { view.mosaics[event.index]?.show(event); view.setCourse(event.step, event.num_steps); },
  stored(view, event) { view.showKept(event); },
  succeeded(view) { view.end("succeeded"); },
  failed(view) { view.end("failed"); },
  cancelled(view) { view.end("cancelled"); },
  expired(view) { view.end("expired"); },
  blocked(view) { view.end("blocked"); },
  held(view) { view.end("held"); },
};

class JobView {
  #root;
  #socket = null;
  #lastSeq;
  #retryMs = FIRST_RETRY_MS;
  #retryTimer = 0;
  #saidAt = 0;
  #numSteps = 1;
  #hasEnded = false;
  #wait = { position: 0, endsAt: null };
  #pace = null; // where the work stood when this browser began to measure, for the seconds left
  #openedAt = 0;
  #heardAt = 0;
  #clock;

  constructor(root) {
    this.#root = root;
    this.#lastSeq = Number(root.dataset.after);
    this.kind = root.dataset.kind;
    this.#expect(Number(root.dataset.position), root.dataset.etaS === "" ? null : Number(root.dataset.etaS));
    this.texts = [...root.querySelectorAll(".text")].map((element) => new Text(element));
    this.mosaics = [...root.querySelectorAll(".picture canvas")].map((canvas) => new Mosaic(canvas));
    this.#clock = setInterval(() => {
      if (this.#socket && Date.now() - this.#heardAt > LONGEST_SILENCE_MS) this.#drop();
      this.#showWait();
    }, 500);
    this.connect();
  }

  get isOnPage() { return this.#root.isConnected; }

  connect() {
    clearTimeout(this.#retryTimer);
    if (this.#hasEnded || !this.isOnPage || this.#socket) return;
    const address = new URL(this.#root.dataset.socket, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    address.searchParams.set("after", this.#lastSeq);
    const socket = new WebSocket(address);
    this.#socket = socket;
    this.#openedAt = this.#heardAt = Date.now();
    this.#pace = null;
    socket.addEventListener("message", (message) => {
      if (socket === this.#socket) this.#receive(JSON.parse(message.data));
    });
    socket.addEventListener("close", ({ code }) => { if (socket === this.#socket) this.#lost(code); });
  }

  close() {
    clearInterval(this.#clock);
    clearTimeout(this.#retryTimer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #lost(code) {
    this.#socket = null;
    if (this.#hasEnded || code === NORMAL_END) return;
    if (code === NOT_FOUND) return this.#say("This job is not here any more.", true);
    if (code === NOT_SIGNED_IN) return this.#say("You are signed out. Sign in again to go on watching.", true);
    const pause = this.#retryMs * (0.5 + Math.random());
    this.#retryMs = Math.min(LONGEST_RETRY_MS, this.#retryMs * 2);
    this.#root.dataset.link = "lost";
    this.#showWait();
    this.#retryTimer = setTimeout(() => this.connect(), pause);
  }

  // Let go of a socket that has nothing more to say, and come back later.
  #drop() {
    const socket = this.#socket;
    this.#lost(TRY_AGAIN_LATER);
    socket.close();
  }

  #receive(message) {
    this.#heardAt = Date.now();
    if (message.type !== "unavailable") this.#retryMs = FIRST_RETRY_MS;
    delete this.#root.dataset.link;
    if (message.type === "heartbeat") this.#beat(message);
    else if (message.type === "offset_lost") this.#replace(message);
    else if (message.type === "event") this.#apply(message.seq, message.event);
    else if (message.type === "unavailable") this.#drop();
  }

  #apply(seq, event) {
    if (seq <= this.#lastSeq) return;
    if (seq > this.#lastSeq + 1) { // a gap: ask again for what lies in it
      const socket = this.#socket;
      this.#socket = null;
      socket.close();
      this.connect();
      return;
    }
    this.#lastSeq = seq;
    handlers[event.kind]?.(this, event);
    document.dispatchEvent(new CustomEvent("tessera:event", { detail: { seq, kind: event.kind } }));
  }

  #beat({ status, position, eta_s: etaS }) {
    if (status === "queued" || status === "running") this.setStatus(status);
    if (status === "queued" || (!this.#pace && etaS !== 0)) this.#expect(position, etaS);
    this.#showWait();
  }

  #expect(position, secondsLeft) {
    const before = this.#wait.endsAt;
    const estimate = secondsLeft === null ? before : Date.now() + secondsLeft * 1000;
    const endsAt = before === null || estimate === null ? estimate : before + (estimate - before) * NEWER_ESTIMATE_WEIGHT;
    this.#wait = { position, endsAt };
  }

  // Pictures: seconds left by the pace of this very job. The replay after a reload comes all at once and says nothing of
  // it. A text may end at any token, so for texts the time that others took stays the better guess.
  #measure(numDone) {
    if (this.kind === "text") return;
    const now = Date.now();
    if (numDone === 0 || now - this.#openedAt < REPLAY_MS) { this.#pace = null; return; }
    this.#pace ??= { at: now, numDone };
    const [elapsed, numMore] = [now - this.#pace.at, numDone - this.#pace.numDone];
    if (elapsed > 1000 && numMore > 0) {
      this.#expect(0, ((this.#numSteps - numDone) * elapsed) / numMore / 1000);
      this.#showWait();
    }
  }

  // The log no longer holds what we miss: take the page's word for it and go on after the newest event.
  async #replace({ seq }) {
    this.close();
    const fresh = await this.#fetchStage();
    if (!fresh || !this.isOnPage) return;
    fresh.dataset.after = seq;
    this.#root.replaceWith(fresh);
    htmx.process(fresh);
    mount();
  }

  async #fetchStage() {
    const answer = await fetch(this.#root.dataset.page, { headers: { "HX-Request": "true" } });
    if (!answer.ok) return null;
    const part = new DOMParser().parseFromString(await answer.text(), "text/html");
    const badge = part.querySelector("#queue-badge");
    if (badge) document.querySelector("#queue-badge")?.replaceWith(badge);
    return part.querySelector("[data-job]");
  }

  clearWork() {
    for (const text of this.texts) text.clear();
    for (const mosaic of this.mosaics) mosaic.clear();
    this.setCourse(0);
  }

  write(event) {
    this.texts[event.index ?? 0]?.add(event);
    this.setCourse(this.texts.reduce((sum, text) => sum + text.numTokens, 0));
  }

  setStatus(status) {
    if (this.#root.dataset.status === status) return;
    this.#root.dataset.status = status;
    const state = this.#root.querySelector(".state");
    state.className = `state state--${status}`;
    state.textContent = STATE_WORDS[status];
    this.#say(`${STATE_WORDS[status]}.`, true);
  }

  setCourse(numDone, numSteps = this.#numSteps) {
    const course = this.#root.querySelector(".course");
    this.#numSteps = numSteps;
    const numTiles = Math.min(numSteps, MAX_COURSE_TILES);
    while (course.childElementCount > numTiles) course.lastChild.remove();
    while (course.childElementCount < numTiles) course.append(document.createElement("i"));
    this.#measure(numDone);
    const numSet = Math.round((numDone / numSteps) * numTiles);
    [...course.children].forEach((tile, place) => tile.classList.toggle("is-set", place < numSet));
    course.setAttribute("aria-valuemax", numSteps);
    course.setAttribute("aria-valuenow", numDone);
    if (numDone > 0) this.#say(`${numDone} of ${this.kind === "text" ? "at most " : ""}${numSteps} ${this.kind === "text" ? "tokens" : "steps"}.`);
  }

  showKept({ artifact_id: id, index }) {
    const place = this.#root.querySelectorAll(".picture")[index];
    if (!place) return;
    if (this.#root.dataset.film === "mp4") return this.#showFilm(place, id);
    const link = document.createElement("a");
    link.href = `/artifacts/${id}/`;
    const image = document.createElement("img");
    image.alt = `${this.#root.dataset.prompt}, picture ${index + 1}`;
    image.addEventListener("load", () => place.classList.add("is-kept"));
    image.src = `/artifacts/${id}/content`;
    link.append(image);
    place.append(link);
  }

  #showFilm(place, id) {
    const film = document.createElement("video");
    Object.assign(film, { controls: true, loop: true, muted: true, playsInline: true });
    film.setAttribute("aria-label", this.#root.dataset.prompt);
    film.addEventListener("loadeddata", () => place.classList.add("is-kept"));
    film.src = `/artifacts/${id}/content`;
    place.append(film);
  }

  // The outcome, its advice and its links come from the server, which knows the row.
  async end(status) {
    this.#hasEnded = true;
    this.setStatus(status);
    this.close();
    this.#showWait();
    const fresh = await this.#fetchStage();
    for (const part of [".stage__outcome", ".stage__foot", ".stage__status"]) {
      const there = fresh?.querySelector(part);
      if (there) this.#root.querySelector(part).replaceWith(there);
    }
    const work = this.#root.querySelector(".texts, .pictures");
    const kept = fresh?.querySelector(".texts, .pictures");
    if (status !== "succeeded") { // what was half done goes, as it does for whoever comes later
      if (kept) work?.replaceWith(kept);
      else work?.remove();
    } else if (this.kind === "text" && kept && (!work || wordsOf(kept) !== wordsOf(work))) {
      work?.replaceWith(kept); // part of the log was lost
    }
    if (fresh) htmx.process(this.#root);
    document.dispatchEvent(new CustomEvent("tessera:ended", { detail: { status } }));
  }

  #showWait() {
    if (!this.isOnPage) return this.close();
    const wait = this.#root.querySelector(".stage__wait");
    if (!wait) return;
    const { position, endsAt } = this.#wait;
    const msLeft = endsAt === null ? null : endsAt - Date.now();
    const parts = [];
    if (this.#root.dataset.link === "lost") parts.push("Connection lost, trying again");
    if (this.#root.dataset.status === "queued" && position > 0) parts.push(position === 1 ? "Next in the queue" : `Number ${position} in the queue`);
    if (!this.#hasEnded && msLeft > 0) parts.push(`about ${duration(Math.ceil(msLeft / 1000))} left`);
    else if (!this.#hasEnded && msLeft !== null) parts.push(msLeft > -LATE_MS ? "any moment now" : "longer than usual");
    const text = parts.join(", ");
    if (wait.textContent !== text) wait.textContent = text;
  }

  #say(text, isUrgent = false) {
    const now = Date.now();
    if (!isUrgent && now - this.#saidAt < SAY_EVERY_MS) return;
    this.#saidAt = now;
    const live = document.querySelector("#live");
    if (live) live.textContent = text;
  }
}

function wordsOf(work) {
  return [...work.querySelectorAll(".words")].map((words) => words.textContent.trim()).join("\n");
}

function duration(seconds) {
  return seconds < 90 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

let view = null;

function mount() {
  if (view && !view.isOnPage) { view.close(); view = null; }
  const root = document.querySelector("[data-job][data-live]");
  if (root && root.dataset.mounted !== "yes") {
    view?.close();
    root.dataset.mounted = "yes";
    view = new JobView(root);
  }
}

document.addEventListener("htmx:load", mount);
window.addEventListener("online", () => view?.connect());
document.addEventListener("visibilitychange", () => { if (!document.hidden) view?.connect(); });
mount();
