"use strict";
// Keeps the page fresh: the same page is fetched again and again, and what
// differs is changed in place, so that focus, selection, scroll positions and
// unfolded lists stay as the reader left them.

const PAUSE = 2000;
const PATIENCE = 10000;

const keyOf = (node) =>
  node.nodeType === Node.ELEMENT_NODE
    ? node.id || node.dataset.path || node.dataset.suite || node.dataset.client || node.dataset.key ||
      (node.tagName === "TR" && node.dataset.peer) || ""
    : "";

const alike = (one, other) =>
  one.nodeType === other.nodeType && one.nodeName === other.nodeName && keyOf(one) === keyOf(other);

// Readers unfold; the script shows buttons and tells of failures.
const kept = (node, name) => name === "open" || (name === "hidden" && (node.id === "copy" || node.id === "unreachable"));

function morph(old, now) {
  if (old.isEqualNode(now)) return;
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = now.nodeValue;
    return;
  }
  if (old.id === "copy" || old.id === "unreachable") return;
  for (const { name } of [...old.attributes]) {
    if (!now.hasAttribute(name) && !kept(old, name)) old.removeAttribute(name);
  }
  for (const { name, value } of now.attributes) {
    if (old.getAttribute(name) !== value && !kept(old, name)) old.setAttribute(name, value);
  }
  const keyed = new Map();
  for (const child of old.children) if (keyOf(child)) keyed.set(keyOf(child), child);
  let place = old.firstChild;
  for (const wanted of [...now.childNodes]) {
    const key = keyOf(wanted);
    let found = place && alike(place, wanted) ? place : key && keyed.get(key);
    if (found && alike(found, wanted)) {
      if (found === place) place = place.nextSibling;
      else old.insertBefore(found, place);
      morph(found, wanted);
    } else {
      old.insertBefore(document.importNode(wanted, true), place);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

let lost = null;

function tell(reached) {
  const note = document.getElementById("unreachable");
  if (reached) {
    lost = null;
    note.hidden = true;
  } else if (!lost) {
    lost = new Date();
    note.textContent = `Not reachable since ${lost.toLocaleTimeString()}; trying again.`;
    note.hidden = false;
  }
}

async function refresh() {
  try {
    const answer = await fetch(location.pathname, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const release = (of) =>
      of.querySelector("link[rel=stylesheet]")?.getAttribute("href") + " " + of.querySelector("script")?.getAttribute("src");
    if (!page.getElementById("main")) throw new Error("another page");
    // Another release of the node has another style and script.
    if (release(page) !== release(document)) {
      location.reload();
      return;
    }
    for (const section of page.querySelectorAll("main > section")) {
      const old = document.getElementById(section.id);
      if (old) morph(old, section);
    }
    morph(document.querySelector("footer"), page.querySelector("footer"));
    tell(true);
  } catch {
    tell(false);
  }
}

async function keepFresh() {
  if (document.visibilityState === "visible") await refresh();
  setTimeout(keepFresh, PAUSE);
}

function select(node) {
  const range = document.createRange();
  range.selectNodeContents(node);
  const selection = getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
}

// navigator.clipboard exists on https and localhost only.
async function copy(button) {
  const line = document.getElementById("apt-line");
  let copied = false;
  try {
    await navigator.clipboard.writeText(line.textContent);
    copied = true;
  } catch {
    select(line);
    copied = document.execCommand("copy");
  }
  button.textContent = copied ? "Copied" : "Selected: press Ctrl+C";
  setTimeout(() => { button.textContent = "Copy"; }, 2500);
}

const button = document.getElementById("copy");
button.hidden = false;
button.addEventListener("click", () => copy(button));
setTimeout(keepFresh, PAUSE);
