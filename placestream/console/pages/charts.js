// Small charts as SVG; each says in words what it shows.

import { svg } from "./dom.js";

/** A line over time, oldest first, from zero. */
export function sparkline(values, { label, width = 120, height = 28, top = 0 }) {
  const most = Math.max(top, ...values, 1e-9);
  const step = values.length > 1 ? (width - 2) / (values.length - 1) : 0;
  const points = values.map((value, i) => [
    1 + i * step,
    height - 2 - ((height - 4) * value) / most,
  ]);
  const line = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
  const [x, y] = points.at(-1) ?? [0, height - 2];
  return svg(
    "svg",
    { class: "spark", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, preserveAspectRatio: "none" },
    svg("line", { x1: 0, x2: width, y1: height - 1, y2: height - 1, class: "axis" }),
    values.length > 1 ? svg("polyline", { points: line, class: "line" }) : null,
    svg("circle", { cx: x, cy: y, r: 2, class: "dot" }),
  );
}

/** Bars with a caption under some of them. */
export function bars(values, captions, { label, width = 240, height = 74 }) {
  const most = Math.max(...values, 1e-9);
  const step = width / values.length;
  const gap = Math.min(3, step / 4);
  const floor = height - 14;
  return svg(
    "svg",
    { class: "bars", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    values.map((value, i) => {
      const tall = Math.max((floor - 2) * (value / most), value > 0 ? 1.5 : 0.75);
      return svg("rect", {
        x: i * step + gap / 2, y: floor - tall, width: step - gap, height: tall, rx: 1.5,
        class: value > 0 ? "bar" : "bar none",
      });
    }),
    values.map((_, i) =>
      captions[i] ? svg("text", { x: (i + 0.5) * step, y: height - 2, class: "tick" }, captions[i]) : null,
    ),
  );
}

/** A value on a scale with marks at its thresholds: `marks` are {at, kind}. */
export function gauge(value, marks, { label, most, kind, width = 160, height = 16 }) {
  const x = (v) => (width * Math.min(v, most)) / most;
  return svg(
    "svg",
    { class: "gauge", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, preserveAspectRatio: "none" },
    svg("rect", { x: 0, y: 5, width, height: 6, rx: 3, class: "rail" }),
    svg("rect", { x: 0, y: 5, width: Math.max(x(value), 2), height: 6, rx: 3, class: `fill ${kind}` }),
    marks.map((mark) => svg("line", { x1: x(mark.at), x2: x(mark.at), y1: 1, y2: 15, class: `mark ${mark.kind}` })),
  );
}

/** An interval around no difference, with a mark at the worst that is borne. */
export function interval({ effect, low, high, borne, state }, { label, width = 220, height = 22 }) {
  const reach = 1.15 * Math.max(Math.abs(low), Math.abs(high), Math.abs(borne), 1e-9);
  const x = (v) => (width * (v + reach)) / (2 * reach);
  const kind = { worse: "bad", "as good": "good" }[state] ?? "open";
  return svg(
    "svg",
    { class: "interval", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    svg("line", { x1: 0, x2: width, y1: height / 2, y2: height / 2, class: "axis" }),
    svg("line", { x1: x(0), x2: x(0), y1: 1, y2: height - 1, class: "zero" }),
    svg("line", { x1: x(borne), x2: x(borne), y1: 1, y2: height - 1, class: "mark bad" }),
    svg("rect", { x: x(low), y: height / 2 - 4, width: Math.max(x(high) - x(low), 2), height: 8, rx: 4, class: `span ${kind}` }),
    svg("circle", { cx: x(effect ?? (low + high) / 2), cy: height / 2, r: 3, class: "middle" }),
  );
}
