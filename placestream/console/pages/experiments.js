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
  return el("article", { class: "experiment" },
    el("h3", {}, `Version ${tried} against ${served} `, el("span", { class: "badge" }, words(one.stage))),
    el("p", { class: "small" },
      `${percent(one.share)} of users; ${number(one.users[1])} on the new pair, ${number(one.users[0])} on the other; ` +
      `since ${new Date(1000 * one.began_s).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" })}.`),
    one.note ? el("p", {}, one.note) : null,
    one.measures.length ? measures(one.measures) : el("p", { class: "empty" }, "Nothing was measured so far."));
}

function measures(rows) {
  const head = ["Measure", "In service", "Tried", "Difference, with its interval"];
  return aside("Measures",
    el("table", { class: "data" },
      el("thead", {}, el("tr", {}, head.map((name, i) => el("th", { scope: "col", class: i === 1 || i === 2 ? "num" : null }, name)))),
      el("tbody", {}, rows.map((row) =>
        el("tr", {},
          el("th", { scope: "row" }, words(row.name)),
          el("td", { class: "num" }, figures(row.control)),
          el("td", { class: "num" }, figures(row.treatment)),
          el("td", {}, difference(row)))))));
}

function difference(row) {
  if (row.low === null || row.high === null) return "not known yet";
  const text = `${figures(row.low)} to ${figures(row.high)}`;
  return el("span", { class: "with-chart" }, interval(row, { label: `Interval of the difference: ${text}` }), el("span", { class: "small" }, text));
}
