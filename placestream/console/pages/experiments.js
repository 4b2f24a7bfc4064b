// Experiments: what is tried against what, with intervals that hold however often one looks.

import { interval } from "./charts.js";
import { aside, el, figures, find, number, percent, redraw, words } from "./dom.js";

export function showExperiments(experiments) {
  const shown = experiments.length ? experiments.map(experiment) : [
    el("p", { class: "empty" },
      "No experiment has been run. A new pair of models that is tried on a part of the users before all of them " +
      "appears here, with the difference it makes and how sure that is."),
  ];
  redraw(find("experiments-body"), ...shown);
}

function experiment(one) {
  const [served, tried] = one.versions;
  const against = served === null ? "the first pair" : `against ${served}`;
  const since = new Date(1000 * one.since_s).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });
  const users = one.users === null ? "no user has met it so far"
    : `${percent(one.share)} of users: ${number(one.users[1])} on the new pair, ${number(one.users[0])} on the other`;
  return el("article", { class: "experiment" },
    el("h3", {}, `Version ${tried}, ${against} `, el("span", { class: "badge" }, words(one.state))),
    el("p", { class: "small" }, `${one.id}, ${words(one.state)} since ${since}; ${users}. ${shadow(one.shadow)}`),
    el("p", {}, one.note),
    one.measures.length ? measures(one.measures) : null,
    one.over ? null : el("p", { class: "small" }, "Promote it now from the versions below, or end it: ",
      el("code", {}, `placestream experiments stop ${one.id}`)));
}

function shadow(seen) {
  if (!seen.compared) return "";
  return `Unseen by users, ${number(seen.compared)} answers were compared: ${percent(seen.overlap)} of the places are the same.`;
}

function measures(rows) {
  const head = ["Measure", "In service", "Tried", "Difference, with an interval that holds at any time", ""];
  return aside("Measures",
    el("table", { class: "data" },
      el("thead", {}, el("tr", {}, head.map((name, i) =>
        el(name ? "th" : "td", { scope: name ? "col" : null, class: i === 1 || i === 2 ? "num" : null }, name)))),
      el("tbody", {}, rows.map((row) =>
        el("tr", {},
          el("th", { scope: "row" }, row.name),
          el("td", { class: "num" }, figures(row.control)),
          el("td", { class: "num" }, figures(row.treatment)),
          el("td", {}, difference(row)),
          el("td", {}, row.state === "open" ? "not decided" : row.state))))));
}

function difference(row) {
  if (row.low === null || row.high === null) return "not known yet";
  const unit = row.relative ? "%" : "points";
  const text = `${number(100 * row.low, 1)} to ${number(100 * row.high, 1)} ${unit}`;
  return el("span", { class: "with-chart" },
    interval(row, { label: `Interval of the difference: ${text}; borne: ${number(100 * row.borne, 1)}` }),
    el("span", { class: "small" }, text));
}
