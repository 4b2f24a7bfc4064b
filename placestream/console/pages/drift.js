// Drift of each feature against its thresholds, as small multiples, the greatest first.

import { gauge, sparkline } from "./charts.js";
import { el, figures, find, number, redraw, words } from "./dom.js";

const FIRST = 12;
let all = false;

export function showDrift(drift) {
  redraw(find("drift-body"), ...(drift ? told(drift) : [away()]));
}

function away() {
  return el("p", { class: "empty" }, "The trainer does not answer, and it is what measures drift. Start `placestream retrain`.");
}

function told(drift) {
  const { features } = drift;
  if (!features.length) {
    return [el("p", { class: "empty" },
      `Nothing to judge yet: drift compares ${number(drift.least_answers)} answers or more of the version in service with its ` +
      `training. The service has given ${number(drift.answers)} since it began. Ask more, or let \`placestream simulate --rate 20\` ask.`)];
  }
  const over = features.filter((one) => !one.rhythm && one.psi > drift.retrains).length;
  const shown = all ? features : features.slice(0, FIRST);
  return [
    el("p", { class: "small" },
      `Population stability index of what the ranker saw, against its training. Above ${drift.warns} it is worth a look, above ` +
      `${drift.retrains} new models are asked for (${over ? `${over} of ${features.length} features` : `none of ${features.length} features`}). ` +
      "Those marked ◷ follow the clock or the sky: they are shown, and ask for nothing."),
    el("ul", { class: "multiples" }, shown.map((one) => card(one, drift))),
    features.length > FIRST ? more(drift) : null,
  ];
}

function more(drift) {
  return el("button", { type: "button", "data-key": "all", "aria-expanded": String(all), onclick: () => { all = !all; showDrift(drift); } },
    all ? "Show fewer" : `Show all ${drift.features.length}`);
}

function kindOf(one, drift) {
  if (one.psi > drift.retrains) return one.rhythm ? "warn" : "bad";
  return one.psi > drift.warns ? "warn" : "good";
}

const SAID = { good: "steady", warn: "worth a look", bad: "asks for training" };

function card(one, drift) {
  const kind = kindOf(one, drift);
  const marks = [{ at: drift.warns, kind: "warn" }, { at: drift.retrains, kind: "bad" }];
  const said = one.rhythm && kind === "warn" ? "follows the clock" : SAID[kind];
  return el("li", { class: `multiple ${kind}` },
    el("p", { class: "title" }, words(one.feature), one.rhythm ? el("span", { "aria-hidden": "true" }, " ◷") : null),
    el("p", { class: "value" }, el("b", {}, figures(one.psi)), el("span", { class: "state" }, said)),
    gauge(one.psi, marks, {
      most: 2 * drift.retrains, kind,
      label: `PSI ${figures(one.psi)}, thresholds ${drift.warns} and ${drift.retrains}`,
    }),
    sparkline(one.history, { label: "PSI over the last minutes", top: drift.retrains, height: 24, width: 160 }),
    el("p", { class: "small" }, one.ks_p === null ? "" : `KS p ${one.ks_p < 0.001 ? "< 0.001" : figures(one.ks_p)}`));
}
