// The list: what came, why, by which scores, how long each stage took, and what has changed.

import { el, figures, find, metres, number, percent, plural, redraw, seconds, words } from "./dom.js";

const ORDINAL = new Intl.PluralRules("en", { type: "ordinal" });
const SUFFIX = { one: "st", two: "nd", few: "rd", other: "th" };
const DEGRADED = {
  partial: "The ranker ordered it, but something before it stood in",
  "candidate order": "No ranker answered: the order is that of the candidate model",
  popularity: "No model answered: the order is by popularity and distance",
};
const SHORT = {
  "no places near": "No place is within reach of this point.",
  filtered: "The conditions, and places that the user has just visited, left fewer than were asked for.",
  "all shown": "There are no more.",
};

const ordinal = (n) => `${n}${SUFFIX[ORDINAL.select(n)]}`;

export class AnswerList {
  /** `onChoose(place_id)`; `onDo(place, kind, rating)` when a person does something with a place. */
  constructor({ onChoose, onDo }) {
    Object.assign(this, { onChoose, onDo, open: null, answer: null });
  }

  /** Show an answer; `before` is the one that it is compared with, if any. */
  show(answer, before, tookMs) {
    this.answer = answer;
    const ids = answer.places.map((place) => place.place_id);
    if (!ids.includes(this.open)) this.open = ids[0] ?? null;
    find("answer-summary").replaceChildren(...summary(answer, tookMs));
    find("stages").replaceChildren(stages(answer.stages));
    const ranks = before ? new Map(before.places.map((place, i) => [place.place_id, i])) : null;
    const byCandidates = ranking(answer.places);
    const items = answer.places.map((place, i) => this.#item(place, i, byCandidates, ranks));
    const held = find("places").contains(document.activeElement);
    redraw(find("places"), ...(items.length ? items : [nothing(answer)]));
    // The place that was acted on may have left the list; the keyboard stays with the answer.
    if (held && document.activeElement === document.body) find("answer").focus({ preventScroll: true });
  }

  /** Take the answer away: it was another question's. */
  clear() {
    this.answer = null;
    for (const id of ["answer-summary", "stages", "places"]) find(id).replaceChildren();
    find("answer-change").hidden = true;
  }

  choose(placeId, { scroll }) {
    this.open = placeId;
    for (const item of find("places").children) {
      const chosen = item.dataset.placeId === placeId;
      item.classList.toggle("chosen", chosen);
      item.querySelector(".more")?.toggleAttribute("hidden", !chosen);
      item.querySelector(".main")?.setAttribute("aria-expanded", String(chosen));
      if (chosen && scroll) item.scrollIntoView({ block: "nearest" });
    }
  }

  #item(place, i, byCandidates, ranks) {
    const chosen = place.place_id === this.open;
    const more = `more-${i}`;
    const main = el(
      "button",
      {
        class: "main", type: "button", "data-key": place.place_id, "aria-expanded": String(chosen), "aria-controls": more,
        onclick: () => this.onChoose(place.place_id),
      },
      el("span", { class: "rank" }, String(i + 1)),
      el(
        "span",
        { class: "about" },
        el("span", { class: "name" }, place.name || place.place_id, moved(place, i, ranks)),
        el("span", { class: "meta" }, facts(place)),
        el("span", { class: "why" }, place.reasons.map((reason) => reason.text).join(" · ")),
      ),
      chance(place, Math.max(...this.answer.places.map((one) => one.probability ?? 0))),
    );
    return el(
      "li",
      { class: chosen ? "place chosen" : "place", "data-place-id": place.place_id },
      main,
      el("div", { class: "more", id: more, hidden: !chosen }, scores(place, i, byCandidates), this.#actions(place)),
    );
  }

  #actions(place) {
    const act = (kind, text) =>
      el("button", { type: "button", class: "act", "data-kind": kind, "data-key": `${kind} ${place.place_id}`, onclick: () => this.onDo(place, kind) }, text);
    const stars = [1, 2, 3, 4, 5].map((rating) =>
      el(
        "button",
        {
          type: "button", class: "star", "data-rating": rating, "data-key": `${rating} ${place.place_id}`, "aria-label": `Rate ${rating} of 5`,
          onclick: () => this.onDo(place, "rate", rating),
        },
        `${rating}★`,
      ),
    );
    return el(
      "div",
      { class: "actions", role: "group", "aria-label": `As this user, with ${place.name || place.place_id}` },
      act("view", "View"), act("click", "Click"), act("visit", "Visit"),
      el("span", { class: "stars" }, el("span", { class: "small" }, "Rate"), stars),
    );
  }
}

function nothing(answer) {
  const text = SHORT[answer.shortfall] ?? "Nothing came.";
  return el("li", { class: "empty" }, `${text} Ask nearer to the places, or with fewer conditions.`);
}

function facts(place) {
  const open = place.open === "open" || place.open === "closed" ? place.open : null;
  return [place.category, metres(place.distance_m), open].filter(Boolean).join(" · ");
}

/** How far a place has moved against the answer before. */
function moved(place, i, ranks) {
  if (!ranks) return null;
  const was = ranks.get(place.place_id);
  if (was === undefined) return el("span", { class: "moved new" }, "new");
  if (was === i) return null;
  const up = was > i;
  const by = Math.abs(was - i);
  return el(
    "span", { class: up ? "moved up" : "moved down" },
    el("span", { "aria-hidden": "true" }, `${up ? "▲" : "▼"}${by}`),
    el("span", { class: "visually-hidden" }, `, ${up ? "up" : "down"} by ${by}`),
  );
}

function chance(place, most) {
  if (place.probability === null) return el("span", { class: "chance" }, el("b", {}, figures(place.score)));
  const bar = el("span", { class: "fill" });
  bar.style.width = `${(100 * place.probability) / Math.max(most, 1e-9)}%`;
  return el(
    "span", { class: "chance", title: "calibrated probability that the user goes for it" },
    el("b", {}, percent(place.probability)),
    el("span", { class: "rail", "aria-hidden": "true" }, bar),
  );
}

function ranking(places) {
  const known = places.filter((place) => place.candidate_score !== null);
  known.sort((a, b) => b.candidate_score - a.candidate_score);
  return new Map(known.map((place, i) => [place.place_id, i + 1]));
}

function scores(place, i, byCandidates) {
  const pair = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
  const candidate = place.candidate_score === null ? "no model answered"
    : `${figures(place.candidate_score)} (${ordinal(byCandidates.get(place.place_id))} of these)`;
  const weighed = place.reasons.filter((reason) => reason.weight !== null)
    .map((reason) => `${words(reason.code.toLowerCase())} +${figures(reason.weight)}`);
  return el(
    "dl",
    { class: "scores" },
    pair("Candidates", candidate),
    pair("Ranker", place.probability === null ? "no model answered" : percent(place.probability)),
    pair("Ordered by", `${figures(place.score)} (${ordinal(i + 1)})`),
    pair("On the way", place.minutes < 1 ? "under a minute" : `${number(place.minutes)} min`),
    pair("Chance to be shown", percent(place.propensity)),
    ...weighed.length ? [pair("Score owed to", weighed.join(", "))] : [],
  );
}

function summary(answer, tookMs) {
  const models = Object.entries(answer.models).map(([name, version]) => `${name} ${version}`).join(", ");
  const rest = answer.filtered.filter((effect) => effect.places > 0)
    .map((effect) => `${plural(effect.places, "place")} out by ${words(effect.filter).replace("filters.", "")}`);
  const age = answer.feature_age_s === null ? "" : `, newest event ${seconds(answer.feature_age_s)} old`;
  const said = [
    `Within ${metres(answer.radius_m)}${answer.radius_widened ? " (widened)" : ""}`,
    models ? `models ${models}` : "no model",
    answer.user_known ? `user known${age}` : "user unknown",
    ...rest,
    `answered in ${seconds(tookMs / 1000)}`,
  ];
  const degraded = DEGRADED[answer.degradation];
  const why = degraded
    ? [el("strong", { class: "warn" }, `${degraded}${answer.degradation_cause ? ` (${answer.degradation_cause})` : ""}. `)]
    : [];
  return [...why, said.join(" · ")];
}

/** Where the time went: one bar, and its parts in words. */
function stages(parts) {
  const total = parts.reduce((sum, part) => sum + part.ms, 0);
  if (!total) return "";
  const bar = el("div", { class: "stage-bar", "aria-hidden": "true" });
  parts.forEach((part, i) => {
    const piece = el("span", { class: `stage stage-${i % 6}` });
    piece.style.width = `${(100 * part.ms) / total}%`;
    bar.append(piece);
  });
  const list = parts.map((part, i) =>
    el("li", {}, el("span", { class: `key stage-${i % 6}`, "aria-hidden": "true" }), `${words(part.stage)} ${number(part.ms, 1)} ms`),
  );
  return el("div", {}, bar, el("ul", { class: "stage-list", "aria-label": "Time by stage" }, list));
}

/** In a sentence: how an answer differs from the one before. */
export function difference(before, after) {
  const was = new Map(before.places.map((place, i) => [place.place_id, i]));
  const fresh = after.places.filter((place) => !was.has(place.place_id)).length;
  const others = after.places.filter((p, i) => was.has(p.place_id) && was.get(p.place_id) !== i).length;
  if (!fresh && !others) return "The order is the same.";
  return `${plural(fresh, "place is", "places are")} new in the list, ${number(others)} moved.`;
}
