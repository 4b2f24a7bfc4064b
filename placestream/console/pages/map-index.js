// The places in the plane, and a grid over them: which are in view, which is nearest?

const EARTH_M = 40_075_016.686;
const PER_CELL = 12;

/** Web Mercator: the world is the square from 0 to 1, north up is small y. */
export function project(lat, lng) {
  const sine = Math.sin((Math.min(Math.max(lat, -85), 85) * Math.PI) / 180);
  return [lng / 360 + 0.5, 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI)];
}

export function unproject(x, y) {
  const lat = (360 / Math.PI) * Math.atan(Math.exp((0.5 - y) * 2 * Math.PI)) - 90;
  return { lat, lng: (x - 0.5) * 360 };
}

/** Metres that a unit of the plane is long at a height of it. */
export const unitMetres = (y) => EARTH_M * Math.cos((unproject(0, y).lat * Math.PI) / 180);

export class PlaceIndex {
  /** `columns`: ids, names, lat, lng, category, categories, as the server tells them. */
  constructor(columns) {
    const n = columns.ids.length;
    Object.assign(this, { n, ids: columns.ids, names: columns.names, category: columns.category });
    this.categories = columns.categories;
    this.x = new Float64Array(n);
    this.y = new Float64Array(n);
    for (let i = 0; i < n; i++) [this.x[i], this.y[i]] = project(columns.lat[i], columns.lng[i]);
    this.rowOf = new Map(columns.ids.map((id, row) => [id, row]));
    this.bounds = bounds(this.x, this.y, 0);
    this.core = bounds(this.x, this.y, 0.01);
    this.#fillCells();
  }

  // A counting sort: `#rows` holds the rows cell by cell, `#starts` where each cell begins.
  #fillCells() {
    const { west, north, east, south } = this.bounds;
    this.side = Math.max(1, Math.ceil(Math.sqrt(this.n / PER_CELL)));
    this.cellX = Math.max((east - west) / this.side, 1e-12);
    this.cellY = Math.max((south - north) / this.side, 1e-12);
    this.starts = new Uint32Array(this.side * this.side + 1);
    const cells = new Uint32Array(this.n);
    for (let i = 0; i < this.n; i++) {
      cells[i] = this.#column(this.x[i]) + this.side * this.#line(this.y[i]);
      this.starts[cells[i] + 1]++;
    }
    for (let c = 0; c < this.side * this.side; c++) this.starts[c + 1] += this.starts[c];
    const next = this.starts.slice();
    this.rows = new Uint32Array(this.n);
    for (let i = 0; i < this.n; i++) this.rows[next[cells[i]]++] = i;
  }

  #column(x) {
    return Math.min(Math.max(Math.floor((x - this.bounds.west) / this.cellX), 0), this.side - 1);
  }

  #line(y) {
    return Math.min(Math.max(Math.floor((y - this.bounds.north) / this.cellY), 0), this.side - 1);
  }

  /** Call `visit(row)` for each place in a box of the plane; returns how many there were. */
  within(west, north, east, south, visit) {
    let seen = 0;
    const first = this.#column(west), last = this.#column(east);
    for (let line = this.#line(north); line <= this.#line(south); line++) {
      const from = this.starts[line * this.side + first], to = this.starts[line * this.side + last + 1];
      for (let k = from; k < to; k++) {
        const row = this.rows[k];
        const x = this.x[row], y = this.y[row];
        if (x < west || x > east || y < north || y > south) continue;
        visit(row);
        seen++;
      }
    }
    return seen;
  }

  /** The row of the nearest place within a reach (of the plane), -1 if there is none. */
  nearest(x, y, reach) {
    let best = -1, least = reach * reach;
    this.within(x - reach, y - reach, x + reach, y + reach, (row) => {
      const square = (this.x[row] - x) ** 2 + (this.y[row] - y) ** 2;
      if (square <= least) [best, least] = [row, square];
    });
    return best;
  }

  /** Categories by how many places they have: [{code, name, count}], most first. */
  commonest() {
    const counts = new Map();
    for (const code of this.category) counts.set(code, (counts.get(code) ?? 0) + 1);
    return [...counts]
      .map(([code, count]) => ({ code, count, name: this.categories[code] ?? "unknown" }))
      .sort((a, b) => b.count - a.count);
  }
}

/** The box that holds all but a share of the places on either side of each axis. */
function bounds(xs, ys, left) {
  const [x, y] = [xs, ys].map((values) => values.slice().sort());
  const at = (values, share) => values[Math.round(share * (values.length - 1))] ?? 0.5;
  return { west: at(x, left), east: at(x, 1 - left), north: at(y, left), south: at(y, 1 - left) };
}
