// A form marked `data-filter` takes effect while one types: its page is fetched, and drawn in place of this one.
import { morph } from "./morph.js";
import { refollow } from "./live.js";

const QUIET_MS = 250;

let last = 0;

for (const form of document.querySelectorAll("form[data-filter]")) {
  let waiting = 0;
  const soon = (milliseconds) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => show(form), milliseconds);
  };
  form.addEventListener("input", () => soon(QUIET_MS));
  form.addEventListener("change", () => soon(0));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    soon(0);
  });
}

async function show(form) {
  const number = ++last;
  const fields = [...new FormData(form)].filter(([, value]) => value !== "");
  const address = `${form.getAttribute("action")}?${new URLSearchParams(fields)}`.replace(/\?$/, "");
  let text;
  try {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(answer.statusText);
    text = await answer.text();
  } catch {
    form.submit(); // the browser says what is wrong
    return;
  }
  if (number !== last) return;
  const fresh = new DOMParser().parseFromString(text, "text/html");
  for (const old of document.querySelectorAll("[data-filtered]")) {
    const one = fresh.getElementById(old.id);
    if (one) morph(old, one);
  }
  history.replaceState(null, "", address);
  document.body.dataset.live = fresh.body.dataset.live ?? "";
  refollow();
}
