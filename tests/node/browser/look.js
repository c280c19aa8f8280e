// What the tests ask a page. Each of these gives a list that is empty where all is well, unless
// it says otherwise.

const all = (selector, under = document) => [...under.querySelectorAll(selector)];

const isShown = (element) =>
  element.checkVisibility({ opacityProperty: true, visibilityProperty: true });

// How a failure calls an element.
function name(element) {
  const id = element.id ? "#" + element.id : "";
  const kind = element.getAttribute("class") ?? "";
  const text = element.textContent.trim().replace(/\s+/g, " ").slice(0, 40);
  const section = element.closest("section")?.id ?? "";
  return `${section}: <${element.localName}${id} class="${kind}"> ${text}`;
}

// Red, green, blue and alpha of any colour that CSS knows, each from 0 to 1.
const pixel = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
function colour(text) {
  pixel.clearRect(0, 0, 1, 1);
  pixel.fillStyle = text;
  pixel.fillRect(0, 0, 1, 1);
  return [...pixel.getImageData(0, 0, 1, 1).data].map((part) => part / 255);
}

// A colour laid over an opaque one.
const over = ([red, green, blue, alpha], under) =>
  [red, green, blue].map((part, at) => part * alpha + under[at] * (1 - alpha));

// What a page without a background of its own stands on.
function canvas() {
  const probe = document.createElement("div");
  probe.style.backgroundColor = "Canvas";
  document.body.append(probe);
  const found = colour(getComputedStyle(probe).backgroundColor).slice(0, 3);
  probe.remove();
  return found;
}

// The colour that a shape is filled with, or that its line has. (Patterns are nothing.)
function paint(shape, part) {
  const style = getComputedStyle(shape);
  const found = style[part] === "none" || style[part].startsWith("url") ? [0, 0, 0, 0] : colour(style[part]);
  return found.with(3, found[3] * Number(style[`${part}Opacity`]) * opacity(shape));
}

// What is drawn under the middle of a text in a picture, from the bottom up.
function drawn(text) {
  const { left, top, width, height } = text.getBoundingClientRect();
  const [x, y] = [left + width / 2, top + height / 2];
  return all("rect", text.closest("svg"))
    .filter((it) => it.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING)
    .filter((it) => {
      const box = it.getBoundingClientRect();
      return box.left <= x && x <= box.right && box.top <= y && y <= box.bottom;
    })
    .map((it) => paint(it, "fill"));
}

function background(element, ground) {
  const layers = [];
  for (let at = element; at; at = at.parentElement) {
    layers.unshift(colour(getComputedStyle(at).backgroundColor));
  }
  if (element.localName === "text") layers.push(...drawn(element));
  return layers.reduce((under, layer) => over(layer, under), ground);
}

const opacity = (element) =>
  element ? Number(getComputedStyle(element).opacity) * opacity(element.parentElement) : 1;

// Relative luminance, as WCAG has it.
function luminance(rgb) {
  const [red, green, blue] = rgb.map((part) =>
    part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4,
  );
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function ratio(one, other) {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

// Visible elements with text of their own.
function texts() {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = new Set();
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const { width, height } = element.getBoundingClientRect();
    const hidden = ["script", "style", "noscript", "title", "desc"].includes(element.localName);
    if (walker.currentNode.data.trim() && !hidden && isShown(element) && width > 1 && height > 1) {
      found.add(element);
    }
  }
  return [...found];
}

// Text that can't be read well: contrast below 4.5.
function faint() {
  const ground = canvas();
  return texts().flatMap((element) => {
    const style = getComputedStyle(element);
    const [red, green, blue, alpha] = colour(element.closest("svg") ? style.fill : style.color);
    const under = background(element, ground);
    const ink = over([red, green, blue, alpha * opacity(element)], under);
    const found = ratio(ink, under);
    return found < 4.5 ? [`${found.toFixed(2)} ${name(element)}`] : [];
  });
}

// Cells of a piece map that can't be told from what is behind them: contrast below 3.
function lost() {
  const ground = canvas();
  return all("svg.pieces rect[data-piece]").flatMap((cell) => {
    const state = cell.dataset.state;
    if (state === "missing" || state === "unproved") return [];
    const under = background(cell, ground);
    const found = Math.max(...["fill", "stroke"].map((part) => ratio(over(paint(cell, part), under), under)));
    return found < 3 ? [`${found.toFixed(2)} a cell that is ${state}`] : [];
  });
}

// Elements wider than the window, where the window scrolls for them.
function wide() {
  const most = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= most) return [];
  const found = all("body *").filter((it) => isShown(it) && it.getBoundingClientRect().right > most + 0.5);
  return [`${document.documentElement.scrollWidth} points in a window of ${most}`, ...found.map(name)];
}

// Pictures that nobody who can't see them is told of. (What is in a picture is part of it.)
const nameless = () =>
  all("svg, img")
    .filter((it) => !it.parentElement.closest("svg"))
    .filter((it) => isShown(it) && !it.closest("[aria-hidden=true]") && it.getAttribute("alt") !== "")
    .filter((it) => {
      const label = it.getAttribute("aria-label") ?? it.getAttribute("alt") ?? "";
      const labelled = it.getAttribute("aria-labelledby");
      const told = label || (labelled && document.getElementById(labelled)?.textContent);
      return !(told || it.querySelector(":scope > title")?.textContent) ||
        (it.localName === "svg" && it.getAttribute("role") !== "img");
    })
    .map(name);

// Headings that leave a level out, and other faults of the page's order.
function disorder() {
  const faults = [];
  if (!document.documentElement.lang) faults.push("no language");
  if (!document.title) faults.push("no title");
  let last = 0;
  for (const heading of all("h1, h2, h3, h4, h5, h6")) {
    const level = Number(heading.localName[1]);
    if (level > last + 1) faults.push(`level ${level} after ${last}: ${name(heading)}`);
    last = level;
  }
  if (all("h1").length !== 1) faults.push(`${all("h1").length} headings of level 1`);
  if (all("main").length !== 1) faults.push(`${all("main").length} main parts`);
  for (const section of all("section")) {
    if (!section.querySelector("h1, h2, h3")) faults.push(`no heading in ${section.id}`);
  }
  const ids = all("[id]").map((it) => it.id);
  for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) faults.push(`two of #${id}`);
  for (const table of all("table")) {
    if (!table.querySelector("th")) faults.push(`a table without heads: ${name(table)}`);
  }
  for (const attribute of ["aria-labelledby", "aria-describedby", "aria-controls"]) {
    for (const element of all(`[${attribute}]`)) {
      for (const id of element.getAttribute(attribute).split(/\s+/)) {
        if (!document.getElementById(id)) faults.push(`${attribute} without #${id}: ${name(element)}`);
      }
    }
  }
  return faults;
}

// Every figure: its pointer, its raw value, and its text.
const figures = () =>
  all("[data-json]").map((it) => [it.dataset.json, it.dataset.value ?? null, it.textContent.trim()]);

// The hosts of everything that was loaded.
const hosts = () =>
  performance
    .getEntriesByType("resource")
    .concat(performance.getEntriesByType("navigation"))
    .map((it) => new URL(it.name).host);

// The cells of all piece maps: number, state, peer, and whose bytes were wrong for it.
const cells = () =>
  all("svg.pieces rect[data-piece]").map(({ dataset }) => [
    Number(dataset.piece),
    dataset.state,
    dataset.peer,
    dataset.wrong?.split(" ") ?? [],
  ]);

// What a person with a keyboard has to reach, in this order: links, buttons, what opens, and what
// scrolls sideways.
const reachable = () =>
  all("a[href], button, input, select, summary, [tabindex='0'], body *").filter(
    (it) =>
      isShown(it) &&
      (it.matches("a[href], button, input, select, summary, [tabindex='0']") ||
        (it.scrollWidth > it.clientWidth + 1 && ["auto", "scroll"].includes(getComputedStyle(it).overflowX))),
  );

// Where the keyboard is: the place in `reachable()`, and what is wrong there.
function focused() {
  const element = document.activeElement;
  const style = getComputedStyle(element);
  const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  const { left, top, right, bottom } = element.getBoundingClientRect();
  const inside = right > 0 && bottom > 0 && left < innerWidth && top < innerHeight;
  const faults = [];
  if (!outlined && style.boxShadow === "none") faults.push(`no mark at ${name(element)}`);
  if (!inside) faults.push(`out of sight: ${name(element)}`);
  const scrolls = element.scrollWidth > element.clientWidth + 1;
  if (scrolls && !element.getAttribute("aria-label") && !element.getAttribute("aria-labelledby")) {
    faults.push(`it scrolls and has no name: ${name(element)}`);
  }
  return [element === document.body ? null : reachable().indexOf(element), faults];
}
