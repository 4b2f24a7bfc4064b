// The map as a person uses it: pointer, wheel, fingers and keys.

import { announce, find, metres } from "./dom.js";
import { drawPlaces, drawScene, palette, COLOURS } from "./map-draw.js";
import { project, unitMetres, unproject } from "./map-index.js";
import { View } from "./map-view.js";

const CLICK_PX = 5; // a press that moves no farther is a click
const NEAR_PX = 14;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class CityMap {
  /** `onAsk({lat, lng})` and `onChoose(place_id)` are called when a person does so. */
  constructor(canvas, { onAsk, onChoose }) {
    Object.assign(this, { canvas, onAsk, onChoose, index: null, drawn: false });
    this.context = canvas.getContext("2d");
    this.base = document.createElement("canvas");
    this.view = new View();
    this.slots = [];
    this.scene = { places: [], asked: null, radius_m: 0, usual: null, chosen: null, hover: null, cursor: null };
    this.pointers = new Map();
    new ResizeObserver(() => this.#resize()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#moved());
    this.#listen();
  }

  /** Show these places; the first time, all of the city. */
  show(index) {
    const first = this.index === null;
    this.index = index;
    const commonest = index.commonest().filter((one) => one.code >= 0);
    this.slots = new Uint8Array(index.categories.length + 1).fill(COLOURS - 1);
    commonest.slice(0, COLOURS - 1).forEach((one, slot) => (this.slots[one.code + 1] = slot));
    if (first) this.#resize();
    if (first) this.fit();
    this.#moved();
    return commonest;
  }

  fit() {
    if (this.index) this.view.fit(this.index.core);
    this.#moved();
  }

  zoom(factor) {
    this.view.zoom(factor);
    this.#moved();
  }

  /** Show an answer: where it was asked and what came. */
  showAnswer(at, answer) {
    const [x, y] = project(at.lat, at.lng);
    this.scene.asked = { x, y };
    this.scene.radius_m = answer?.radius_m ?? 0;
    this.scene.places = (answer?.places ?? []).map((place) => {
      const [px, py] = project(place.lat, place.lng);
      return { id: place.place_id, name: place.name || place.place_id, x: px, y: py };
    });
    this.#scene();
  }

  /** Show where a user usually is; null: nowhere. */
  showUsual(at) {
    this.scene.usual = null;
    if (at) {
      const [x, y] = project(at.lat, at.lng);
      this.scene.usual = { x, y, radius_m: at.radius_m };
    }
    this.#scene();
  }

  choose(placeId) {
    this.scene.chosen = placeId;
    const place = this.scene.places.find((one) => one.id === placeId);
    if (place) this.view.reveal(place.x, place.y, 30);
    this.#moved();
  }

  /** Look at where was asked and at what came. */
  frame() {
    const points = [this.scene.asked, ...this.scene.places].filter(Boolean);
    if (!points.length) return;
    const xs = points.map((p) => p.x), ys = points.map((p) => p.y);
    const box = { west: Math.min(...xs), east: Math.max(...xs), north: Math.min(...ys), south: Math.max(...ys) };
    const side = 1_200 / unitMetres(box.north);
    const grow = Math.max(side - (box.east - box.west), 0.35 * (box.east - box.west)) / 2;
    const tall = Math.max(side - (box.south - box.north), 0.35 * (box.south - box.north)) / 2;
    this.view.fit({ west: box.west - grow, east: box.east + grow, north: box.north - tall, south: box.south + tall });
    this.#moved();
  }

  /** Look there if some of it is out of view. */
  frameIfHidden() {
    const { width, height } = this.view;
    const hidden = ({ x, y }) => {
      const [px, py] = this.view.toPixel(x, y);
      return px < 0 || py < 0 || px > width || py > height;
    };
    if (this.scene.places.some(hidden)) this.frame();
  }

  #resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = Math.min(devicePixelRatio || 1, 2);
    this.view.resize(width, height, ratio);
    for (const canvas of [this.canvas, this.base]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    this.#moved();
  }

  /** The view has changed: draw the places anew, at the next frame. */
  #moved() {
    this.drawn = false;
    this.#scene();
  }

  #scene() {
    if (this.frameWanted) return;
    this.frameWanted = true;
    requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.frameWanted = false;
    if (!this.index || !this.canvas.width) return;
    const colours = palette();
    if (!this.drawn) {
      const context = this.base.getContext("2d", { willReadFrequently: true });
      this.inView = drawPlaces(context, this.view, this.index, this.slots, colours);
      this.drawn = true;
      this.#scale();
    }
    this.context.setTransform(1, 0, 0, 1, 0, 0);
    this.context.drawImage(this.base, 0, 0);
    const cursor = document.activeElement === this.canvas ? this.scene.cursor : null;
    drawScene(this.context, this.view, { ...this.scene, cursor }, colours);
  }

  #scale() {
    const perPixel = unitMetres(this.view.y) / this.view.scale;
    const round = [1, 2, 5].flatMap((digit) => [0, 1, 2, 3, 4, 5, 6].map((power) => digit * 10 ** power));
    const most = Math.max(...round.filter((m) => m / perPixel <= 110), 1);
    find("scale-bar").style.width = `${most / perPixel}px`;
    find("scale-text").textContent = metres(most);
  }

  #listen() {
    const canvas = this.canvas;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", (event) => this.pointers.delete(event.pointerId));
    canvas.addEventListener("pointerleave", () => this.#hover(null));
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("focus", () => this.#scene());
    canvas.addEventListener("blur", () => this.#scene());
  }

  #down(event) {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    if (this.pointers.size === 1) this.pressed = { x: event.offsetX, y: event.offsetY, moved: false };
    else this.pressed.moved = true;
  }

  #move(event) {
    const last = this.pointers.get(event.pointerId);
    const here = { x: event.offsetX, y: event.offsetY };
    if (!last) return this.#hover(here);
    if (this.pointers.size === 1) {
      this.pressed.moved ||= Math.hypot(here.x - this.pressed.x, here.y - this.pressed.y) > CLICK_PX;
      if (this.pressed.moved) this.view.pan(here.x - last.x, here.y - last.y);
    } else {
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
      const before = Math.hypot(last.x - other.x, last.y - other.y);
      const now = Math.hypot(here.x - other.x, here.y - other.y);
      if (before > 0) this.view.zoom(now / before, (here.x + other.x) / 2, (here.y + other.y) / 2);
    }
    this.pointers.set(event.pointerId, here);
    if (this.pressed.moved) this.#moved();
    return undefined;
  }

  #up(event) {
    const alone = this.pointers.size === 1;
    if (!this.pointers.delete(event.pointerId) || !alone || this.pressed.moved || !this.index) return;
    const marker = this.#markerAt(event.offsetX, event.offsetY);
    if (marker) this.onChoose(marker.id);
    else this.#ask(...this.view.toPlane(event.offsetX, event.offsetY));
  }

  #ask(x, y) {
    this.scene.cursor = { x, y };
    this.onAsk(unproject(x, y));
  }

  #markerAt(px, py) {
    return this.scene.places.find((place) => {
      const [x, y] = this.view.toPixel(place.x, place.y);
      return Math.hypot(x - px, y - py) <= NEAR_PX;
    });
  }

  #hover(at) {
    let hover = null;
    if (at && this.index) {
      const [x, y] = this.view.toPlane(at.x, at.y);
      const row = this.index.nearest(x, y, 10 / this.view.scale);
      if (row >= 0) hover = { x: this.index.x[row], y: this.index.y[row], name: this.index.names[row] || this.index.ids[row] };
    }
    if (hover?.name === this.scene.hover?.name) return;
    this.scene.hover = hover;
    this.#scene();
  }

  // Without a modifier the wheel scrolls the page, as everywhere on it.
  #wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return this.#hint();
    event.preventDefault();
    this.view.zoom(Math.exp(-event.deltaY / 240), event.offsetX, event.offsetY);
    return this.#moved();
  }

  #hint() {
    const hint = find("map-hint");
    hint.textContent = "Hold Ctrl (or ⌘) to zoom with the wheel";
    clearTimeout(this.hinting);
    this.hinting = setTimeout(() => (hint.textContent = ""), 1500);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.index) return;
    const arrow = ARROWS[event.key];
    if (arrow) this.#step(arrow, event.shiftKey ? 80 : 20);
    else if (event.key === "Enter" || event.key === " ") this.#ask(...this.#cursor());
    else if (event.key === "+" || event.key === "=") this.#zoomAtCursor(1.5);
    else if (event.key === "-") this.#zoomAtCursor(1 / 1.5);
    else if (event.key === "0") this.fit();
    else return;
    event.preventDefault();
  }

  #cursor() {
    const at = this.scene.cursor ?? this.scene.asked ?? this.view;
    return [at.x, at.y];
  }

  #zoomAtCursor(factor) {
    this.view.zoom(factor, ...this.view.toPixel(...this.#cursor()));
    this.#moved();
  }

  #step([dx, dy], pixels) {
    const [x, y] = this.#cursor();
    this.scene.cursor = { x: x + (dx * pixels) / this.view.scale, y: y + (dy * pixels) / this.view.scale };
    this.view.reveal(this.scene.cursor.x, this.scene.cursor.y, 30);
    this.#moved();
    clearTimeout(this.telling);
    this.telling = setTimeout(() => this.#tellCursor(), 400);
  }

  #tellCursor() {
    const { x, y } = this.scene.cursor;
    const { lat, lng } = unproject(x, y);
    const row = this.index.nearest(x, y, 2_000 / unitMetres(y));
    const away = row < 0 ? "no place is near" :
      `${this.index.names[row] || this.index.ids[row]} is ${metres(Math.hypot(this.index.x[row] - x, this.index.y[row] - y) * unitMetres(y))} away`;
    announce(`Cursor at ${lat.toFixed(4)}, ${lng.toFixed(4)}; ${away}. Enter asks here.`);
  }
}
