// Wires the page: what is asked, what is sent, and what is read again and again.

import { newId, onTokenWanted, Problem, read, readAddress, readTagged, send, useToken, writeAddress } from "./api.js";
import { AnswerList, difference } from "./answer.js";
import { announce, el, find, seconds, showProblem } from "./dom.js";
import { showDrift } from "./drift.js";
import { showExperiments } from "./experiments.js";
import { CityMap } from "./map.js";
import { COLOURS } from "./map-draw.js";
import { PlaceIndex, unproject } from "./map-index.js";
import { listenToSwitch, refreshModels } from "./models.js";
import { showUser, usual } from "./user.js";
import { showWatch } from "./watch.js";

const OFTEN_MS = 2_000, SELDOM_MS = 10_000, PLACES_MS = 30_000;
const DID = { view: "View", click: "Click", visit: "Visit", rate: "Rating" };

const scene = readAddress();
let at = scene.has("lat") ? { lat: Number(scene.get("lat")), lng: Number(scene.get("lng")) } : null;
let question = 0; // the newest; answers to older ones are passed over
let answerOf = null; // the user and the spot of the shown answer

const list = new AnswerList({ onChoose: choose, onDo: tell });
const map = new CityMap(find("map"), { onAsk: (spot) => { at = spot; ask(); }, onChoose: (id) => choose(id, true) });

const userId = () => find("user-id").value.trim();

function choose(placeId, scroll = false) {
  list.choose(placeId, { scroll });
  map.choose(placeId);
}

/** Ask as the user, from the spot; `written` names an event that the answer must hold. */
async function ask({ written = [], frame = false, quiet = false } = {}) {
  if (!at || !userId()) return null;
  const mine = ++question;
  const asked = {
    user_id: userId(), ...at, written, category: find("category").value,
    novelty: find("novelty").value, open_now: find("open-now").checked,
  };
  remember(asked);
  const began = performance.now();
  find("answer").setAttribute("aria-busy", "true");
  try {
    const answer = await send("/api/recommend", asked);
    if (mine !== question) return null;
    showProblem("answer-problem", null);
    showAnswer(answer, asked, performance.now() - began, { frame, quiet });
    return answer;
  } catch (problem) {
    if (mine !== question) return null;
    showProblem("answer-problem", problem);
    list.clear();
    map.showAnswer(at, null);
    answerOf = null;
    if (problem.status === 0 || problem.status >= 500) setTimeout(() => again(mine), OFTEN_MS);
    return null;
  } finally {
    find("answer").removeAttribute("aria-busy");
  }
}

/** What was away may be back: ask once more, unless something else was asked meanwhile. */
function again(mine) {
  if (mine === question) ask({ quiet: true });
}

function showAnswer(answer, asked, tookMs, { frame, quiet }) {
  const key = JSON.stringify({ ...asked, written: null });
  const before = answerOf === key ? list.answer : null;
  answerOf = key;
  list.show(answer, before, tookMs);
  map.showAnswer(asked, answer);
  if (frame) map.frame();
  else map.frameIfHidden();
  choose(list.open);
  find("answer-change").hidden = true;
  if (!quiet && !asked.written.length) {
    const first = answer.places[0];
    announce(first ? `${answer.places.length} places, the first is ${first.name || first.place_id}.` : "No place came.");
  }
}

function remember({ user_id, lat, lng }) {
  writeAddress(new URLSearchParams({ user: user_id, lat: lat.toFixed(5), lng: lng.toFixed(5) }));
}

/** Send what the user does with a place, and ask again for an answer that holds it. */
async function tell(place, kind, rating) {
  const before = list.answer;
  const began = performance.now();
  try {
    const event = {
      user_id: userId(), place_id: place.place_id, event_type: kind, ...at, event_id: newId(),
      request_id: before.request_id, ...(rating ? { rating } : {}),
    };
    const receipt = await send("/api/events", event);
    const answer = await ask({ written: [receipt.position] });
    if (!answer) return;
    const seen = answer.written_seen ? `is in this answer, ${seconds((performance.now() - began) / 1000)} after it was sent`
      : "was sent, but the features did not hold it in time: ask again";
    const text = `${DID[kind]} of ${place.name || place.place_id} ${seen}. ${difference(before, answer)}`;
    find("answer-change").textContent = text;
    find("answer-change").hidden = false;
    find("answer-change").scrollIntoView({ block: "nearest" });
    announce(text);
    refreshUser();
  } catch (problem) {
    showProblem("answer-problem", problem);
  }
}

async function refreshUser() {
  const id = userId();
  if (!id) return;
  try {
    const user = await read(`/api/user?id=${encodeURIComponent(id)}`);
    if (id !== userId()) return;
    showProblem("user-problem", null);
    map.showUsual(usual(user.values));
    // Somebody else's event, or one of ours that came late: the list follows.
    const known = list.answer?.feature_age_s ?? null;
    const behind = known === null || Date.now() / 1000 - user.latest_s < known;
    if (showUser(user) && list.answer && behind && !document.activeElement?.closest("dialog")) ask({ quiet: true });
  } catch (problem) {
    showProblem("user-problem", problem);
  }
}

async function refreshWatch() {
  try {
    const watch = await read("/api/watch");
    showProblem("watch-problem", null);
    showWatch(watch);
    if (watch.at_s !== null) showDrift(watch.drift);
  } catch (problem) {
    showProblem("watch-problem", problem);
  }
}

async function refreshExperiments() {
  try {
    showExperiments(await read("/api/experiments"));
    showProblem("experiments-problem", null);
  } catch (problem) {
    showProblem("experiments-problem", problem);
  }
}

let placesShown = null; // which version of them

/** Read the places; the first time, wait until there are some. */
async function refreshPlaces() {
  const state = find("map-state");
  try {
    const { said: columns, tag } = await readTagged("/api/places");
    if (!columns.ids.length) throw new Problem(200, { text: "No place has been sent yet.", advice: "Send some: `placestream simulate`." });
    state.hidden = true;
    if (tag !== placesShown) showPlaces(new PlaceIndex(columns));
    placesShown = tag;
    return true;
  } catch (problem) {
    if (placesShown === null) state.textContent = problem.words;
    return false;
  }
}

function showPlaces(index) {
  const commonest = map.show(index);
  find("map").setAttribute("aria-label", `Map of ${index.n.toLocaleString("en")} places`);
  const named = commonest.slice(0, COLOURS - 1);
  const others = commonest.slice(COLOURS - 1);
  const entry = (name, slot) => el("li", {}, el("span", { class: `key category-${slot}`, "aria-hidden": "true" }), name);
  find("legend").replaceChildren(...named.map((one, slot) => entry(one.name, slot)),
    ...(others.length ? [entry(`${others.length} more`, COLOURS - 1)] : []));
  const chosen = find("category").value;
  const names = commonest.map((one) => one.name).sort();
  find("category").replaceChildren(el("option", { value: "" }, "every"), ...names.map((name) => el("option", { value: name }, name)));
  find("category").value = names.includes(chosen) ? chosen : "";
}

async function suggestUsers() {
  try {
    const users = await read("/api/users");
    find("known-users").replaceChildren(...users.map((user) => el("option", { value: user.user_id }, `${user.events} recent events`)));
    return users;
  } catch {
    return []; // the section of the user says what is wrong with Redis
  }
}

/** Where to ask first: where the user usually is, else in the middle of the city. */
async function firstSpot() {
  const id = userId();
  try {
    const user = await read(`/api/user?id=${encodeURIComponent(id)}`);
    const spot = usual(user.values);
    if (spot) return spot;
  } catch { /* the section of the user says so */ }
  const { west, north, east, south } = map.index.core;
  return unproject((west + east) / 2, (north + south) / 2);
}

async function start() {
  while (!(await refreshPlaces())) await new Promise((done) => setTimeout(done, OFTEN_MS));
  const users = await suggestUsers();
  if (!userId()) find("user-id").value = scene.get("user") ?? users[0]?.user_id ?? "1";
  const wanted = at ?? (await firstSpot());
  at = { lat: wanted.lat, lng: wanted.lng };
  await ask({ frame: true });
}

/** Call now and then, one at a time, while the page is looked at. */
function repeat(refresh, everyMs) {
  const turn = async () => {
    if (!document.hidden) await refresh();
    setTimeout(turn, everyMs);
  };
  turn();
}

/** Draw the places anew when they have changed: sooner while there come more of them. */
async function followPlaces() {
  const before = map.index?.n;
  if (!document.hidden) await refreshPlaces();
  setTimeout(followPlaces, map.index?.n === before ? PLACES_MS : SELDOM_MS);
}

let soon = 0;

/** Enter in a changed field is a change and a submit: they are one question. */
function askSoon() {
  clearTimeout(soon);
  soon = setTimeout(() => { ask(); refreshUser(); }, 0);
}

function listen() {
  find("question").addEventListener("submit", (event) => { event.preventDefault(); askSoon(); });
  for (const id of ["user-id", "novelty", "category", "open-now"]) find(id).addEventListener("change", askSoon);
  find("zoom-in").addEventListener("click", () => map.zoom(1.6));
  find("zoom-out").addEventListener("click", () => map.zoom(1 / 1.6));
  find("fit").addEventListener("click", () => map.fit());
  listenToSwitch();
}

onTokenWanted((problem) => {
  if (find("token-dialog").open) return;
  showProblem("token-problem", sessionStorage.length ? problem : null);
  find("token-dialog").showModal();
});
find("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useToken(find("token").value.trim());
  location.reload();
});

find("user-id").value = scene.get("user") ?? "";
listen();
repeat(refreshWatch, OFTEN_MS);
repeat(refreshUser, OFTEN_MS);
repeat(refreshExperiments, SELDOM_MS);
repeat(refreshModels, SELDOM_MS);
setTimeout(followPlaces, SELDOM_MS);
start();
