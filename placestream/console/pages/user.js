// What is known of the user, as the models would read it now; what has just changed stands out.

import { bars } from "./charts.js";
import { el, figures, find, metres, number, plural, seconds } from "./dom.js";

const WINDOWS = ["1h", "24h", "7d", "28d"];
const COUNTS = ["interactions", "visits", "ratings"];
const DAYS = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"];
const KINDS = { view: "viewed", click: "clicked", visit: "visited", rate: "rated" };
const STANDS_OUT_MS = 6_000;

let shown = null;
const changedAt = new Map();

/** Show a user's features; returns whether there is an event that was not there before. */
export function showUser(user) {
  const same = shown?.user_id === user.user_id;
  if (!same) changedAt.clear();
  const newer = same && user.latest_s !== shown.latest_s;
  if (same) noteChanges(shown.values, user.values);
  shown = user;
  find("user-title").textContent = `User ${user.user_id}`;
  find("user-body").replaceChildren(...(user.known ? known(user) : unknown(user)));
  return newer;
}

function noteChanges(before, now) {
  for (const [name, value] of Object.entries(now))
    if (!name.startsWith("since_") && before[name] !== value) changedAt.set(name, [Date.now(), value - before[name]]);
}

/** The change of a feature that still stands out, or null. */
function change(name) {
  const [at, by] = changedAt.get(name) ?? [0, 0];
  return Date.now() - at < STANDS_OUT_MS ? by : null;
}

function unknown(user) {
  return [el("p", { class: "empty" },
    `Nothing is known of ${user.user_id}: no event so far. A new user gets what is good here for anybody; ` +
    "send an event from the list, and this fills within a moment.")];
}

function known(user) {
  const { values } = user;
  return [
    el("div", { class: "user-grid" },
      el("div", {}, el("h3", {}, "Counts"), counts(values)),
      el("div", {}, el("h3", {}, "About"), about(values)),
      el("div", {},
        el("h3", {}, "Visits by hour, UTC"),
        bars(user.hours_utc, hourCaptions(), { label: inWords("Visits by hour (UTC)", user.hours_utc, (i) => `${i}:00`) }),
        el("h3", {}, "By weekday, UTC"),
        bars(user.weekdays_utc, DAYS, { label: inWords("Visits by weekday", user.weekdays_utc, (i) => DAYS[i]), height: 60 })),
      el("div", {}, el("h3", {}, "Latest events"), recent(user))),
  ];
}

const hourCaptions = () => Array.from({ length: 24 }, (_, hour) => (hour % 6 ? "" : String(hour)));

function inWords(title, values, name) {
  const total = values.reduce((sum, value) => sum + value, 0);
  if (!total) return `${title}: none.`;
  const top = values.map((value, i) => [value, i]).sort((a, b) => b[0] - a[0]).slice(0, 3);
  return `${title}: most at ${top.map(([value, i]) => `${name(i)} (${number((100 * value) / total)} %)`).join(", ")}.`;
}

function counts(values) {
  const cell = (name) => {
    const by = change(name);
    return el("td", { class: by === null ? null : "changed", "data-feature": name },
      number(values[name]), by === null ? null : el("ins", {}, `${by > 0 ? "+" : "−"}${number(Math.abs(by))}`));
  };
  return el("table", { class: "counts" },
    el("thead", {}, el("tr", {}, el("td"), WINDOWS.map((w) => el("th", { scope: "col" }, w)))),
    el("tbody", {}, COUNTS.map((name) =>
      el("tr", {}, el("th", { scope: "row" }, name), WINDOWS.map((w) => cell(`${name}_${w}`))))));
}

function about(values) {
  const pair = (name, text, feature) =>
    el("div", { class: feature && change(feature) !== null ? "changed" : null }, el("dt", {}, name), el("dd", {}, text));
  const rated = values.rating_given_count > 0;
  const ago = (s) => (s === null ? "never" : `${seconds(s)} ago`);
  return el("dl", { class: "about-user" },
    pair("last activity", ago(values.since_activity_s)),
    pair("last visit", ago(values.since_visit_s)),
    pair("active days of 28", number(values.interactions_active_28d), "interactions_active_28d"),
    pair("rates", rated ? `${figures(values.rating_given_mean)} on average, ${plural(values.rating_given_count, "time")}` : "nothing so far", "rating_given_mean"),
    pair("usual area", usual(values) ? `within ${metres(values.whereabouts_radius_m)}, dotted on the map` : "not known"));
}

/** Where a user usually is, or null. */
export function usual(values) {
  const { whereabouts_lat: lat, whereabouts_lng: lng, whereabouts_radius_m: radius_m } = values;
  return values.visits_28d > 0 && radius_m > 0 && (lat || lng) ? { lat, lng, radius_m } : null;
}

function recent(user) {
  if (!user.recent.length) return el("p", { class: "empty" }, "None.");
  const now = Date.now() / 1000;
  return el("ol", { class: "recent" }, user.recent.slice(0, 8).map((event) =>
    el("li", { class: now - event.time_s < STANDS_OUT_MS / 1000 ? "changed" : null },
      el("span", { class: "kind" }, KINDS[event.kind]),
      el("span", { class: "what" }, event.name || event.place_id || "a place that is gone"),
      el("span", { class: "small" }, `${seconds(Math.max(now - event.time_s, 0))} ago`))));
}
