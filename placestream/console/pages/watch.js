// Streams and service: lag, freshness, latency, and which roles answer.

import { sparkline } from "./charts.js";
import { aside, el, find, number, plural, redraw, seconds } from "./dom.js";

const FRESH_S = 5; // the objective: docs/operations.md
const FAST_MS = 50;
const LATE_MESSAGES = 10_000;

export function showWatch(watch) {
  find("roles").replaceChildren(...watch.roles.map(role));
  const away = watch.roles.filter((one) => one.problem);
  redraw(
    find("streams-body"),
    ...away.map((one) => el("p", { class: "problem" }, absence(one))),
    watch.at_s === null ? el("p", { class: "empty" }, "Reading the metrics…") : tiles(watch),
    ...(watch.stream ? [topics(watch.stream)] : []),
  );
}

function absence({ role, url, problem }) {
  return `${role} does not show its metrics at ${url} (${problem}). Start \`placestream ${role}\`, or name its ` +
    "address in PLACESTREAM_CONSOLE_METRICS.";
}

function role({ role: name, problem }) {
  return el("li", { class: problem ? "bad" : "good" },
    el("span", { class: "lamp", "aria-hidden": "true" }), name,
    el("span", { class: "visually-hidden" }, problem ? ": does not answer" : ": answers"));
}

function tile(name, value, note, kind = "") {
  return el("div", { class: `tile ${kind}` }, el("dt", {}, name), el("dd", {}, value), el("dd", { class: "small" }, note));
}

function tiles({ stream, service }) {
  const shown = [];
  if (stream) {
    const behind = stream.topics.reduce((sum, topic) => sum + topic.lag, 0);
    const refused = stream.outcomes.dead_letter ?? 0;
    shown.push(
      tile("Not folded yet", number(behind), plural(behind, "message"), behind > LATE_MESSAGES ? "warn" : "good"),
      tile("Readable after", seconds(stream.fresh_p99_s), 
        stream.fresh_p99_s === null ? "no event in the last minute" : `p99 of the last minute; p50 ${seconds(stream.fresh_p50_s)}`,
        (stream.fresh_p99_s ?? 0) > FRESH_S ? "warn" : "good"),
      tile("Stuck partitions", number(stream.stalled), stream.redis_away ? "the stream waits for Redis" : "have events, and do not move",
        stream.stalled || stream.redis_away ? "bad" : "good"),
      tile("Dead letters", number(refused), "since the worker began; placestream dlq list", refused ? "warn" : "good"),
    );
  }
  if (service) {
    shown.push(
      tile("Answers", `${number(service.per_s, 1)}/s`, `${number(service.answers)} in all, ${number(service.degraded)} degraded`),
      tile("Answered within", service.p99_ms === null ? "–" : `${number(service.p99_ms)} ms`,
        service.p99_ms === null ? "no request in the last minute" : `p99 of the last minute; p50 ${number(service.p50_ms)} ms`,
        (service.p99_ms ?? 0) > FAST_MS ? "warn" : "good"),
    );
  }
  return el("dl", { class: "tiles" }, shown);
}

function topics(stream) {
  const head = ["Topic", "Lag, messages", "Last minutes", "Folded a second"];
  return aside("Lag by topic",
    el("table", { class: "data" },
      el("thead", {}, el("tr", {}, head.map((name, i) => el("th", { scope: "col", class: i ? "num" : null }, name)))),
      el("tbody", {}, stream.topics.map((topic) =>
        el("tr", {},
          el("th", { scope: "row" }, topic.topic),
          el("td", { class: "num" }, number(topic.lag)),
          el("td", { class: "num" }, sparkline(topic.history, {
            label: `Lag over the last minutes: at most ${number(Math.max(...topic.history))}`, top: 10 })),
          el("td", { class: "num" }, number(topic.per_s, 1)))))));
}
