// Follows the region: the page's live blocks are drawn again as it tells, also after it was away.
// What else is on a page hears of new lines of its log by an event `lines` of the document.
import { morph, parsed } from "./morph.js";

const AGAIN_MS = 1000;

let source = null;
let cursor = "";
let again = 0;

// As long as somebody sees the page.
document.addEventListener("visibilitychange", () => (document.hidden ? leave() : enter()));
addEventListener("pagehide", leave);
addEventListener("pageshow", () => source || enter());
enter();

/** Follow anew, as when the page shows something else. */
export function refollow() {
  leave();
  cursor = "";
  enter();
}

function enter() {
  const address = document.body.dataset.live;
  if (!address || document.hidden) return;
  clearTimeout(again);
  source?.close();
  const lines = document.getElementById("lines");
  const after = cursor || lines?.dataset.cursor || "";
  source = new EventSource(after ? `${address}&after=${after}` : address);
  source.addEventListener("open", () => say("live"));
  source.addEventListener("part", (event) => part(JSON.parse(event.data)));
  source.addEventListener("lines", (event) => {
    cursor = event.lastEventId;
    document.dispatchEvent(new CustomEvent("lines", { detail: JSON.parse(event.data).html }));
  });
  source.addEventListener("gone", () => location.reload());
  source.addEventListener("error", () => {
    say("away");
    // A browser tries again by itself, unless it was answered by something else than events.
    if (source?.readyState === EventSource.CLOSED) again = setTimeout(enter, AGAIN_MS);
  });
}

function leave() {
  clearTimeout(again);
  source?.close();
  source = null;
}

function part({ id, html }) {
  const old = document.getElementById(id);
  const fresh = parsed(html).firstElementChild;
  if (old && fresh) morph(old, fresh);
}

function say(state) {
  const place = document.getElementById("connection");
  if (!place || place.dataset.state === state) return;
  place.dataset.state = state;
  place.textContent = state === "live" ? "live" : "reconnecting …";
}
