// The verify page: a file can be dropped, its name is shown, and the next question empties the other fields.

const form = document.querySelector("[data-verify]");
const drop = form.querySelector(".drop");
const name = form.querySelector("[data-file-name]");
const { file, text, credentials } = form.elements;
const nothing = name.textContent;
const isGiven = () => Boolean(file.files.length || text.value);
let wasGiven = isGiven();

// Credentials belong to what they were given with, and may be out of sight.
function leaveCredentials() {
  if (wasGiven) credentials.value = "";
  wasGiven = isGiven();
}

file.addEventListener("change", () => {
  name.textContent = file.files[0]?.name ?? nothing;
  if (file.files.length) text.value = "";
  leaveCredentials();
});
text.addEventListener("input", () => {
  if (text.value && file.files.length) {
    file.value = "";
    name.textContent = nothing;
  }
  leaveCredentials();
});
form.addEventListener("htmx:beforeRequest", () => document.getElementById("notice").replaceChildren());
for (const kind of ["dragenter", "dragover"]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("is-over");
  });
}
for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("is-over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  if (!event.dataTransfer.files.length) return;
  file.files = event.dataTransfer.files;
  file.dispatchEvent(new Event("change"));
});
