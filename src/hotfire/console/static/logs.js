// The end of a log: lines are added, kept back while it is paused, and older ones fetched when they are asked for.
import { parsed } from "./morph.js";

const MOST_LINES = 3000;
const NEAR_THE_END = 40;

let held = [];

const lines = () => document.getElementById("lines");
const pause = document.getElementById("pause");
const isPaused = () => pause.getAttribute("aria-pressed") === "true";

pause.hidden = false;
pause.addEventListener("click", () => {
  pause.setAttribute("aria-pressed", !isPaused());
  if (!isPaused()) {
    const waiting = held;
    held = [];
    waiting.forEach(append);
    toTheEnd();
  }
  pause.textContent = isPaused() ? "Resume" : "Pause";
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-older]");
  if (!link) return;
  event.preventDefault();
  older(link);
});
document.addEventListener("lines", (event) => add(event.detail));
toTheEnd();

/** Add lines, as markup of the region's. */
function add(html) {
  if (isPaused()) {
    held.push(html);
    const count = held.reduce((sum, one) => sum + parsed(one).children.length, 0);
    pause.textContent = `Resume (${count} new)`;
    return;
  }
  append(html);
}

function append(html) {
  const log = lines();
  if (!log) return;
  document.getElementById("no-lines")?.remove();
  log.hidden = false;
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_THE_END;
  log.append(parsed(html));
  if (!isAtEnd) return;
  while (log.children.length > MOST_LINES) log.firstElementChild.remove();
  toTheEnd();
}

function toTheEnd() {
  const log = lines();
  if (log) log.scrollTop = log.scrollHeight;
}

async function older(link) {
  let text;
  try {
    text = await (await fetch(link.href)).text();
  } catch {
    location.assign(link.href);
    return;
  }
  const before = new DOMParser().parseFromString(text, "text/html").getElementById("lines");
  const log = lines();
  const fromTheEnd = log.scrollHeight - log.scrollTop;
  link.closest("p").replaceWith(...(before?.children ?? []));
  log.scrollTop = log.scrollHeight - fromTheEnd;
}
