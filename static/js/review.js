// The queue of reviews by keyboard: next and before, show and cover, decide, take back. A decision is sent a few
// seconds after it was made, or with the next one, so that `u` can take it back; leaving the page sends it at once.

const UNDO_MS = 6_000;

let pending = null; // { form, data, row, timer }

const byId = (id) => document.getElementById(id);
const rows = () => [...document.querySelectorAll("[data-row]")];
const decideForm = () => document.querySelector("[data-decide]");
const rowOfItem = () => byId(`row-${document.querySelector("[data-item]")?.dataset.item}`);

// Show another page of the queue in place, so that what waits to be sent goes on waiting.
async function go(address) {
  await htmx.ajax("GET", address, { target: "#review", select: "#review", swap: "outerHTML" });
  history.replaceState(null, "", address);
  byId("item-title")?.focus({ preventScroll: true });
}

function step(by) {
  const all = rows().filter((row) => !row.classList.contains("is-pending"));
  const here = rowOfItem();
  if (!all.length) return;
  const place = all.indexOf(here);
  const next = place < 0 ? all[0] : all[place + by];
  if (next && next !== here) go(next.href);
}

function toggleCover() {
  const shown = document.querySelector("[data-shown]");
  if (shown) shown.classList.toggle("is-covered");
  else document.querySelector("[data-reveal]")?.requestSubmit();
}

function choose(outcome) {
  document.querySelector(`[data-outcome][value=${outcome}]`)?.click();
}

function decide(form, button) {
  const reason = form.elements.reason;
  const isMissing = "needsReason" in button.dataset && !reason.value.trim();
  byId("reason-error").hidden = !isMissing;
  reason.toggleAttribute("aria-invalid", isMissing);
  if (isMissing) { reason.setAttribute("aria-invalid", "true"); reason.focus(); return; }
  commit();
  const data = new FormData(form);
  data.set("outcome", button.value);
  pending = { action: form.action, data, address: location.href, row: rowOfItem()?.id, timer: setTimeout(commit, UNDO_MS) };
  markPending();
  const bar = byId("undo");
  bar.querySelector("span").textContent = `${button.value === "released" ? "Released" : "Rejected"}: ${form.dataset.words}`;
  bar.hidden = false;
  const left = rows().filter((row) => !row.classList.contains("is-pending"));
  const all = rows();
  const place = all.findIndex((row) => row.id === pending.row);
  const next = all.slice(place + 1).concat(all.slice(0, Math.max(place, 0))).find((row) => left.includes(row));
  if (next) go(next.href);
  else document.querySelector("[data-item]").remove(); // nothing else to show; it is sent when it can no longer be undone
}

function markPending() {
  for (const row of rows()) row.classList.toggle("is-pending", row.id === pending?.row);
}

function undo() {
  if (!pending) return;
  clearTimeout(pending.timer);
  const { address } = pending;
  pending = null;
  byId("undo").hidden = true;
  go(address);
}

async function commit() {
  if (!pending) return;
  const { action, data, timer } = pending;
  clearTimeout(timer);
  pending = null;
  byId("undo").hidden = true;
  const notice = byId("notice");
  try {
    const answer = await fetch(action, { method: "POST", body: data, headers: { "HX-Request": "true" } });
    notice.innerHTML = answer.ok ? "" : await answer.text();
  } catch {
    notice.textContent = "The studio did not answer, so the decision was not taken. Decide again.";
  }
  await refresh();
}

// The list as it is now; the thing that is being looked at stays.
async function refresh() {
  const isDone = !rows().some((row) => !row.classList.contains("is-pending") && row !== rowOfItem());
  const filter = new URL(location.href).search;
  const queue = document.querySelector(".review__filter").action + filter;
  if (isDone && !decideForm()?.elements.reason.value) return go(queue);
  const answer = await fetch(`${location.pathname}${filter}${filter ? "&" : "?"}part=list`, { headers: { "HX-Request": "true" } });
  if (!answer.ok) return;
  const list = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("#review-list");
  if (list) { byId("review-list").replaceWith(list); htmx.process(list); markPending(); }
}

document.addEventListener("htmx:afterSettle", markPending); // not before: settling gives a row the classes it came with

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!(form instanceof HTMLFormElement) || !form.matches("[data-decide]")) return;
  event.preventDefault();
  decide(form, event.submitter ?? form.querySelector("[data-outcome][value=rejected]"));
});

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  if (target?.closest("[data-undo]")) undo();
  const row = target?.closest("[data-row]");
  if (row && !event.ctrlKey && !event.metaKey && !event.shiftKey) { event.preventDefault(); go(row.href); }
});

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  r: toggleCover,
  a: () => choose("released"),
  x: () => choose("rejected"),
  u: undo,
};

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]") || event.altKey) return;
  const isTyping = event.target instanceof Element && event.target.closest("input, textarea, select");
  if (isTyping) {
    const isReason = event.target.id === "reason";
    if (isReason && event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); choose("rejected"); }
    if (isReason && event.key === "Escape") byId("item-title").focus();
    return;
  }
  if (event.ctrlKey || event.metaKey || !Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key]();
});

window.addEventListener("pagehide", () => {
  if (!pending) return;
  clearTimeout(pending.timer);
  navigator.sendBeacon(pending.action, pending.data);
  pending = null;
});
