// Makes a part of the page look as newer markup of ours does, keeping what need not change: what is focused,
// opened, selected or scrolled stays so. Markup comes from the region's templates alone, which escape all values.

/** Markup as nodes that belong to no page; scripts among them would not run. */
export function parsed(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

/** Make `old` look as `fresh`, an element of the same name. */
export function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  sameAttributes(old, fresh);
  sameChildren(old, fresh);
}

function sameAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !isTheVisitors(old, name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value && !isTheVisitors(old, name)) old.setAttribute(name, value);
  }
}

/** Whether an attribute says what the visitor did. */
function isTheVisitors(element, name) {
  return name === "open" && element.localName === "details";
}

function sameChildren(old, fresh) {
  const keyed = new Map();
  for (const child of old.children) if (keyOf(child)) keyed.set(keyOf(child), child);
  let place = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const found = keyed.get(keyOf(wanted)) ?? place;
    if (found && isAs(found, wanted)) {
      if (found === place) place = place.nextSibling;
      else old.insertBefore(found, place);
      if (found.nodeType === Node.ELEMENT_NODE) morph(found, wanted);
      else if (found.data !== wanted.data) found.data = wanted.data;
    } else {
      old.insertBefore(wanted, place);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function keyOf(node) {
  return node.id || node.dataset?.key || "";
}

function isAs(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName && keyOf(one) === keyOf(other);
}
