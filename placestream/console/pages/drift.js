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
      `training. There are ${number(drift.answers)} so far: ask more.`)];
  }
  const over = features.filter((one) => kindOf(one, drift) === "bad").length;
  const shown = all ? features : features.slice(0, FIRST);
  return [
    el("p", { class: "small" },
      `Population stability index of what the ranker saw, against its training. Above ${drift.warns} it is worth a look, above ` +
      `${drift.retrains} new models are asked for (${over ? `${over} of ${features.length} features` : `none of ${features.length} features`}). ` +
      "Thresholds lie at what chance alone may reach, where that is more. Those marked ◷ follow the clock or the sky: they ask for nothing. " +
      together(drift.together)),
    el("ul", { class: "multiples" }, shown.map((one) => card(one, drift))),
    features.length > FIRST ? more(drift) : null,
  ];
}

function more(drift) {
  return el("button", { type: "button", "data-key": "all", "aria-expanded": String(all), onclick: () => { all = !all; showDrift(drift); } },
    all ? "Show fewer" : `Show all ${drift.features.length}`);
}

/** All features at once, which sees what each alone does not show. */
function together({ value, threshold }) {
  if (!threshold) return "";
  return `All features together (MMD): ${figures(value)}, ${value > threshold ? "above" : "below"} the ${figures(threshold)} of chance.`;
}

/** Both thresholds of a feature: what chance may reach says nothing. */
const limits = (one, drift) => [drift.warns, drift.retrains].map((limit) => Math.max(limit, one.chance));

function kindOf(one, drift) {
  const [warns, retrains] = limits(one, drift);
  if (one.psi > retrains) return one.rhythm ? "warn" : "bad";
  return one.psi > warns ? "warn" : "good";
}

const SAID = { good: "steady", warn: "worth a look", bad: "asks for training" };

function card(one, drift) {
  const kind = kindOf(one, drift);
  const [warns, retrains] = limits(one, drift);
  const marks = [{ at: warns, kind: "warn" }, { at: retrains, kind: "bad" }];
  const said = one.rhythm && kind === "warn" ? "follows the clock" : SAID[kind];
  return el("li", { class: `multiple ${kind}` },
    el("p", { class: "title" }, words(one.feature), one.rhythm ? el("span", { "aria-hidden": "true" }, " ◷") : null),
    el("p", { class: "value" }, el("b", {}, figures(one.psi)), el("span", { class: "state" }, said)),
    gauge(one.psi, marks, {
      most: 2 * retrains, kind,
      label: `PSI ${figures(one.psi)}, thresholds ${figures(warns)} and ${figures(retrains)}`,
    }),
    sparkline(one.history, { label: "PSI over the last minutes", top: drift.retrains, height: 24, width: 160 }),
    el("p", { class: "small" }, one.ks_p === null ? "" : `KS p ${one.ks_p < 0.001 ? "< 0.001" : figures(one.ks_p)}`));
}
