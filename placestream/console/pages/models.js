// Versions of the models, and a person's way from one to another: asked twice, with a reason.

import { read, send } from "./api.js";
import { announce, aside, el, figures, find, redraw, showProblem, words } from "./dom.js";

const METRICS = { ndcg_at_10: "NDCG@10", recall_at_10: "Recall@10", auc: "AUC", coverage: "Coverage" };
let shown = null;
let wanted = null;

/** Read the versions and show them. */
export async function refreshModels() {
  try {
    shown = await read("/api/models");
    showProblem("models-problem", shown.problem ? { words: shown.problem } : null);
    redraw(find("models-body"), shown.versions.length ? table() : empty());
  } catch (problem) {
    showProblem("models-problem", problem);
  }
}

function empty() {
  return el("p", { class: "empty" }, "There is no exported version. Train the first: `placestream retrain --now \"first models\"`.");
}

function table() {
  const names = metricNames();
  const head = ["Version", "Trained", ...names.map((name) => METRICS[name] ?? words(name)), "Model server", ""];
  const number = (i) => (i > 1 && i < 2 + names.length ? "num" : null);
  return aside("Versions of the models",
    el("table", { class: "data" },
      el("thead", {}, el("tr", {}, head.map((name, i) => el(name ? "th" : "td", { scope: name ? "col" : null, class: number(i) }, name)))),
      el("tbody", {}, shown.versions.map((version) => row(version, names)))));
}

function metricNames() {
  const found = new Set(shown.versions.flatMap((version) => Object.keys(version.metrics)));
  const usual = Object.keys(METRICS).filter((name) => found.has(name));
  return (usual.length ? usual : [...found]).slice(0, 4);
}

function row(version, names) {
  const states = Object.entries(version.states).map(([model, state]) => `${model} ${state.toLowerCase()}`);
  const trained = version.trained_at_s === null ? version.card_problem
    : new Date(1000 * version.trained_at_s).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });
  return el("tr", { class: version.in_service ? "current" : null, "data-version": version.version },
    el("th", { scope: "row" }, String(version.version), version.in_service ? el("span", { class: "badge good" }, "in service") : null),
    el("td", {}, trained),
    names.map((name) => el("td", { class: "num" }, figures(version.metrics[name] ?? null))),
    el("td", {}, states.length ? states.join(", ") : "not loaded"),
    el("td", {}, version.in_service ? null : action(version.version)));
}

const verb = (version) => (shown.in_service === null || version > shown.in_service ? "Promote" : "Roll back");

function action(version) {
  return el("button", { type: "button", "data-key": `to-${version}`, "aria-haspopup": "dialog", onclick: () => confirm(version) }, `${verb(version)} to ${version}`);
}

function confirm(version) {
  wanted = { version, instead_of: shown.in_service };
  find("switch-title").textContent = `${verb(version)} to version ${version}?`;
  find("switch-text").textContent =
    (shown.in_service === null ? "No version is in service now. " : `Version ${shown.in_service} is in service now. `) +
    `Both models are loaded beside it, then the label "${shown.label}" moves to ${version} for every request at once; ` +
    "no request is lost. The step is written to the topic of rollouts.";
  showProblem("switch-problem", null);
  find("switch-why").value = "";
  find("switch-dialog").showModal();
}

/** Wire the dialog; once. */
export function listenToSwitch() {
  find("switch-cancel").addEventListener("click", () => find("switch-dialog").close());
  find("switch-form").addEventListener("submit", (event) => {
    event.preventDefault();
    carryOut();
  });
}

async function carryOut() {
  const button = find("switch-confirm");
  button.disabled = true;
  button.textContent = "Loading…";
  try {
    const done = await send("/api/models/switch", { ...wanted, why: find("switch-why").value });
    find("switch-dialog").close();
    announce(`Version ${done.version} is in service.${done.live ? "" : " The model server did not confirm it: it reads this when it starts."}`);
  } catch (problem) {
    showProblem("switch-problem", problem);
  } finally {
    button.disabled = false;
    button.textContent = "Confirm";
  }
  await refreshModels();
}
