// Buttons that copy what stands in the element named by `data-copies`. They are hidden where nothing runs.

export function copyButtons(within = document) {
  for (const button of within.querySelectorAll("button[data-copies]")) {
    button.hidden = false;
    const words = button.textContent;
    button.addEventListener("click", async () => {
      const text = document.getElementById(button.dataset.copies)?.textContent ?? "";
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Not allowed: select it and copy";
      }
      setTimeout(() => (button.textContent = words), 1500);
    });
  }
}

copyButtons();
