// Where the map looks: centre and scale, and the way from the plane to pixels and back.

import { unitMetres } from "./map-index.js";

const MOST_SCALE = 2 ** 29; // pixels a unit: some 10 cm a pixel

export class View {
  constructor() {
    Object.assign(this, { x: 0.5, y: 0.5, scale: 1000, width: 1, height: 1, ratio: 1 });
  }

  resize(width, height, ratio) {
    Object.assign(this, { width, height, ratio });
  }

  toPixel(x, y) {
    return [(x - this.x) * this.scale + this.width / 2, (y - this.y) * this.scale + this.height / 2];
  }

  toPlane(px, py) {
    return [this.x + (px - this.width / 2) / this.scale, this.y + (py - this.height / 2) / this.scale];
  }

  /** How many pixels some metres are, at a height of the plane. */
  pixels(m, y) {
    return (m / unitMetres(y)) * this.scale;
  }

  /** The box of the plane in view, wider by some pixels. */
  box(margin) {
    const [west, north] = this.toPlane(-margin, -margin);
    const [east, south] = this.toPlane(this.width + margin, this.height + margin);
    return { west, north, east, south };
  }

  pan(dx, dy) {
    this.x -= dx / this.scale;
    this.y -= dy / this.scale;
  }

  /** Zoom so that the point under a pixel stays there. */
  zoom(factor, px = this.width / 2, py = this.height / 2) {
    const [x, y] = this.toPlane(px, py);
    this.scale = Math.min(Math.max(this.scale * factor, 200), MOST_SCALE);
    this.x = x - (px - this.width / 2) / this.scale;
    this.y = y - (py - this.height / 2) / this.scale;
  }

  /** Show a box of the plane, whole. */
  fit({ west, north, east, south }) {
    this.x = (west + east) / 2;
    this.y = (north + south) / 2;
    const across = Math.max(east - west, 1e-7), down = Math.max(south - north, 1e-7);
    this.scale = Math.min(MOST_SCALE / 64, (0.94 * this.width) / across, (0.94 * this.height) / down);
  }

  /** Move so that a point of the plane is at least some pixels inside. */
  reveal(x, y, margin) {
    const [px, py] = this.toPixel(x, y);
    const inside = (p, size) => Math.min(Math.max(p, margin), size - margin);
    this.pan(inside(px, this.width) - px, inside(py, this.height) - py);
  }
}
