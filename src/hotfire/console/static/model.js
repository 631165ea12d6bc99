// The form of a model: sent and filled without the page being loaded again. Without it the form works as well.
import { copyButtons } from "./copy.js";

const form = () => document.getElementById("try");
const isMac = navigator.platform?.startsWith("Mac");

let sending = null;

document.addEventListener("submit", (event) => {
  if (event.target !== form() || event.defaultPrevented) return;
  event.preventDefault();
  send(event.submitter);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || !event.target.closest?.("#try")) return;
  event.preventDefault();
  form().requestSubmit(document.getElementById("send"));
});

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-example]");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
    event.preventDefault();
    fill(link);
  }
  const button = event.target.closest?.("button[data-fills]");
  if (button) {
    const field = document.getElementById(button.dataset.fills);
    field.value = button.dataset.value;
    field.focus();
  }
});

document.addEventListener("change", (event) => {
  const field = event.target;
  if (field.type !== "file" || !field.closest("#try")) return;
  const kept = document.getElementById(`${field.id}-kept`);
  if (kept) kept.hidden = field.files.length > 0;
  const image = document.getElementById(field.dataset.previews);
  if (!image) return;
  URL.revokeObjectURL(image.src);
  const file = field.files[0];
  image.hidden = !file?.type.startsWith("image/");
  if (!image.hidden) image.src = URL.createObjectURL(file);
});

decorate();

/** Send the form as the button says, and show what comes of it. */
async function send(submitter) {
  const action = submitter?.value ?? "send";
  const answering = document.getElementById("answer");
  sending?.abort();
  sending = new AbortController();
  const { signal } = sending;
  busy(answering, action === "send");
  let page;
  try {
    page = await fetched(form().getAttribute("action"), {
      method: "POST",
      body: new FormData(form(), submitter),
      signal,
    });
  } catch (error) {
    if (signal.aborted) return;
    idle(answering);
    tell("The region does not answer. Is it up? `hotfire up` starts it.", true);
    return;
  }
  idle(answering);
  if (!page) return;
  const isWrong = page.getElementById("problem");
  if (action !== "send" || isWrong || document.getElementById("problem")) replace(page, "try");
  if (isWrong) {
    (form().querySelector("[aria-invalid]") ?? document.getElementById("send")).focus();
    return;
  }
  replace(page, "answer");
  if (action === "send") {
    tell(document.getElementById("result")?.dataset.news ?? "");
    document.getElementById("answering-title").scrollIntoView({ block: "nearest" });
  } else {
    after(action);
  }
}

/** Fill the form by an example. */
async function fill(link) {
  let page;
  try {
    page = await fetched(link.getAttribute("href"));
  } catch {
    location.assign(link.href);
    return;
  }
  if (!page) return;
  replace(page, "try");
  replace(page, "answer");
  for (const other of document.querySelectorAll("a[data-example]")) other.removeAttribute("aria-current");
  link.setAttribute("aria-current", "true");
  history.replaceState(null, "", link.getAttribute("href").replace(/#.*/, ""));
  tell(`The form is filled by the example ${link.textContent}.`);
}

/** A page of ours; null where it is another one, which is shown as it is. */
async function fetched(address, options) {
  const answer = await fetch(address.replace(/#.*/, ""), options);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (page.getElementById("answer")) return page;
  document.getElementById("main").replaceChildren(...page.getElementById("main")?.childNodes ?? []);
  return null;
}

function replace(page, id) {
  const fresh = document.adoptNode(page.getElementById(id));
  document.getElementById(id).replaceWith(fresh);
  decorate();
}

/** After an input came or went, or the form changed its kind: the keyboard goes on where it makes sense. */
function after(action) {
  const fields = form().querySelectorAll("textarea, input:not([type=hidden]), select");
  const last = [...form().querySelectorAll("fieldset")].at(-1);
  const target = action === "add" && last ? last.querySelector("textarea, input:not([type=hidden]), select") : fields[0];
  target?.focus();
}

function busy(answering, isAsking) {
  const button = document.getElementById("send");
  if (isAsking) {
    answering.setAttribute("aria-busy", "true");
    button.setAttribute("aria-disabled", "true");
    button.textContent = "Sending …";
  }
}

function idle(answering) {
  const button = document.getElementById("send");
  answering.removeAttribute("aria-busy");
  button.removeAttribute("aria-disabled");
  button.textContent = "Send";
}

/** Say it to who does not see the page; what is no news of the page is to be seen as well. */
function tell(text, isSeen = false) {
  const news = document.getElementById("news");
  news.classList.toggle("unseen", !isSeen);
  news.classList.toggle("reason", isSeen);
  news.textContent = text;
}

/** What needs a script to work is there only where scripts run. */
function decorate() {
  copyButtons(document.getElementById("answer"));
  for (const hidden of form().querySelectorAll(".fills, .keys")) hidden.hidden = false;
  const key = form().querySelector("kbd");
  if (key && isMac) key.textContent = "⌘";
}
