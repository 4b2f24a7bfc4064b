// Makes elements, and says numbers as people read them. Text is only ever text, never markup.

/** An element; `properties` are attributes, or listeners where the name begins with "on". */
export function el(tag, properties = {}, ...children) {
  return dressed(document.createElement(tag), properties, children);
}

export function svg(tag, properties = {}, ...children) {
  return dressed(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

function dressed(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export const find = (id) => document.getElementById(id);

/**
 * Put new children into a place that is drawn again and again. Who stands on a part of it with the
 * keyboard, or has scrolled one aside, stays there: parts are known again by `data-key`.
 */
export function redraw(place, ...children) {
  const held = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const scrolled = [...place.querySelectorAll(".scroll")].map((part) => [part.dataset.key, part.scrollLeft]);
  place.replaceChildren(...children.filter(Boolean));
  for (const [key, left] of scrolled) if (left) byKey(place, key)?.scrollTo({ left });
  if (held !== undefined) byKey(place, held)?.focus({ preventScroll: true });
}

const byKey = (place, key) => place.querySelector(`[data-key="${CSS.escape(key ?? "")}"]`);

/** A part of its own that scrolls aside, also by keyboard. */
export const aside = (label, ...children) =>
  el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label, "data-key": label }, children);

/** Show a problem in its place, or take it away; a repeated one is not announced again. */
export function showProblem(id, problem) {
  const place = find(id);
  const words = problem ? (problem.words ?? String(problem)) : "";
  if (place.textContent !== words) place.textContent = words;
  place.hidden = !words;
}

/** Tell those who do not see the page. */
export function announce(text) {
  find("news").textContent = text;
}

export function number(value, digits = 0) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  return value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits });
}

/** A number with about three figures, whatever its size. */
export function figures(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return number(value, size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

export const percent = (share) =>
  share === null || share === undefined ? "–" : `${number(100 * share, share < 0.1 ? 1 : 0)} %`;

export const metres = (m) => (m < 1000 ? `${number(m)} m` : `${number(m / 1000, 1)} km`);

export function seconds(s) {
  if (s === null || s === undefined) return "–";
  if (s < 1) return `${number(1000 * s)} ms`;
  if (s < 90) return `${number(s, s < 10 ? 1 : 0)} s`;
  if (s < 5400) return `${number(s / 60)} min`;
  if (s < 172800) return `${number(s / 3600, s < 36000 ? 1 : 0)} h`;
  return `${number(s / 86400)} d`;
}

export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

/** `place_visits_1h` reads "place visits 1h". */
export const words = (name) => name.replaceAll("_", " ");
