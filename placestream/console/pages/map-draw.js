// Draws the city and what is said of it. Colours come from the stylesheet, so that both schemes hold.

const CROWDED = 5_000; // more places in view than this are drawn as pixels, not as discs
const NAMED = 45; // fewer than this are named
const BLUR = 4; // the shade is drawn so many times smaller
const FONT = "500 11px Inter, system-ui, sans-serif";
export const COLOURS = 8;

/** The colours of the page as they are now. */
export function palette() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    ground: of("map-ground"), ink: of("ink"), muted: of("muted"), accent: of("accent"), on: of("on-accent"),
    halo: of("map-halo"), ring: of("map-ring"), cursor: of("focus"), usual: of("map-usual"), shade: of("map-shade"),
    categories: Array.from({ length: COLOURS }, (_, i) => of(`category-${i}`)),
  };
}

/** Draw all places in view; `slots[code + 1]` is the colour of a category. */
export function drawPlaces(ctx, view, index, slots, colours) {
  const { width, height, ratio } = view;
  ctx.setTransform(1, 0, 0, 1, 0, 0);
  ctx.fillStyle = colours.ground;
  ctx.fillRect(0, 0, width * ratio, height * ratio);
  const box = view.box(8);
  const rows = [];
  index.within(box.west, box.north, box.east, box.south, (row) => rows.push(row));
  if (rows.length > CROWDED) drawPixels(ctx, view, index, rows, slots, colours);
  else drawDiscs(ctx, view, index, rows, slots, colours);
  return rows.length;
}

// Each place darkens a few pixels of its own: one pass, however many there are.
function drawPixels(ctx, view, index, rows, slots, colours) {
  const { ratio } = view;
  const w = Math.round(view.width * ratio), h = Math.round(view.height * ratio);
  const image = ctx.getImageData(0, 0, w, h);
  const rgb = colours.categories.map(channels);
  const size = Math.max(1, Math.round(1.5 * ratio));
  for (const row of rows) {
    const [px, py] = view.toPixel(index.x[row], index.y[row]);
    const x0 = Math.round(px * ratio), y0 = Math.round(py * ratio);
    const [r, g, b] = rgb[slots[index.category[row] + 1]];
    for (let y = y0; y < y0 + size; y++)
      for (let x = x0; x < x0 + size; x++) {
        if (x < 0 || y < 0 || x >= w || y >= h) continue;
        const k = 4 * (y * w + x);
        image.data[k] += (r - image.data[k]) * 0.6;
        image.data[k + 1] += (g - image.data[k + 1]) * 0.6;
        image.data[k + 2] += (b - image.data[k + 2]) * 0.6;
      }
  }
  ctx.putImageData(image, 0, 0);
}

function channels(colour) {
  const hex = colour.replace("#", "");
  return [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

function drawDiscs(ctx, view, index, rows, slots, colours) {
  ctx.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
  const radius = Math.min(Math.max(2.6 + Math.log2(600 / Math.max(rows.length, 8)) * 0.5, 1.8), 5);
  builtUp(ctx, view, index, rows, colours);
  const groups = Array.from({ length: COLOURS }, () => []);
  for (const row of rows) groups[slots[index.category[row] + 1]].push(row);
  ctx.globalAlpha = 0.8;
  groups.forEach((group, slot) => {
    ctx.fillStyle = colours.categories[slot];
    ctx.beginPath();
    for (const row of group) {
      const [x, y] = view.toPixel(index.x[row], index.y[row]);
      ctx.moveTo(x + radius, y);
      ctx.arc(x, y, radius, 0, 7);
    }
    ctx.fill();
  });
  ctx.globalAlpha = 1;
  if (rows.length <= NAMED) drawNames(ctx, view, index, rows, radius, colours);
}

// A name that would lie on another is left out: it comes when one is nearer.
function drawNames(ctx, view, index, rows, radius, colours) {
  ctx.font = FONT;
  const taken = [];
  for (const row of rows) {
    const [x, y] = view.toPixel(index.x[row], index.y[row]);
    const text = index.names[row];
    const box = { left: x, right: x + radius + 8 + ctx.measureText(text).width, top: y - 8, bottom: y + 8 };
    const clear = taken.every((one) => one.right < box.left || one.left > box.right || one.bottom < box.top || one.top > box.bottom);
    if (!clear) continue;
    taken.push(box);
    label(ctx, text, x + radius + 4, y, colours.muted, colours);
  }
}

// Where places stand close together the ground is darker: the city's shape, from its places alone.
// Drawn small and enlarged: a blur has no edges to lose, and thousands cost little.
function builtUp(ctx, view, index, rows, colours) {
  const size = 72 / BLUR;
  const canvas = document.createElement("canvas");
  canvas.width = Math.ceil(view.width / BLUR);
  canvas.height = Math.ceil(view.height / BLUR);
  const small = canvas.getContext("2d");
  const shade = shadeOf(colours.shade, size);
  small.globalAlpha = Math.min(Math.max(500 / rows.length, 0.35), 1);
  for (const row of rows) {
    const [x, y] = view.toPixel(index.x[row], index.y[row]);
    small.drawImage(shade, x / BLUR - size / 2, y / BLUR - size / 2);
  }
  ctx.imageSmoothingQuality = "high";
  ctx.drawImage(canvas, 0, 0, canvas.width * BLUR, canvas.height * BLUR);
}

function shadeOf(colour, size) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const ctx = canvas.getContext("2d");
  const fade = ctx.createRadialGradient(size / 2, size / 2, 0, size / 2, size / 2, size / 2);
  fade.addColorStop(0, colour);
  fade.addColorStop(1, colour.slice(0, 7) + "00");
  ctx.fillStyle = fade;
  ctx.fillRect(0, 0, size, size);
  return canvas;
}

function label(ctx, text, x, y, colour, colours) {
  ctx.font = FONT;
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  ctx.lineWidth = 3;
  ctx.lineJoin = "round";
  ctx.strokeStyle = colours.halo;
  ctx.strokeText(text, x, y);
  ctx.fillStyle = colour;
  ctx.fillText(text, x, y);
}

/** Draw what the answer says: `scene` holds asked, radius_m, usual, places, chosen, hover, cursor. */
export function drawScene(ctx, view, scene, colours) {
  ctx.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
  if (scene.usual) circle(ctx, view, scene.usual, scene.usual.radius_m, colours.usual, [2, 4]);
  if (scene.asked) circle(ctx, view, scene.asked, scene.radius_m, colours.ring, []);
  for (let i = scene.places.length - 1; i >= 0; i--)
    if (scene.places[i].id !== scene.chosen) marker(ctx, view, scene.places[i], i, false, colours);
  if (scene.asked) pin(ctx, ...view.toPixel(scene.asked.x, scene.asked.y), colours);
  const chosen = scene.places.findIndex((place) => place.id === scene.chosen);
  if (chosen >= 0) marker(ctx, view, scene.places[chosen], chosen, true, colours);
  if (scene.hover) {
    const [x, y] = view.toPixel(scene.hover.x, scene.hover.y);
    label(ctx, scene.hover.name, x + 9, y - 9, colours.ink, colours);
  }
  if (scene.cursor) cross(ctx, ...view.toPixel(scene.cursor.x, scene.cursor.y), colours);
}

function circle(ctx, view, at, radius_m, colour, dash) {
  const [x, y] = view.toPixel(at.x, at.y);
  ctx.beginPath();
  ctx.setLineDash(dash);
  ctx.arc(x, y, view.pixels(radius_m, at.y), 0, 7);
  ctx.strokeStyle = colour;
  ctx.lineWidth = 1.5;
  ctx.stroke();
  ctx.setLineDash([]);
}

// A pin whose tip is at the spot: it shows beside a place that is there, too.
function pin(ctx, x, y, colours) {
  ctx.beginPath();
  ctx.arc(x, y - 22, 8, 0.85 * Math.PI, 0.15 * Math.PI);
  ctx.lineTo(x, y);
  ctx.closePath();
  ctx.fillStyle = colours.ink;
  ctx.strokeStyle = colours.halo;
  ctx.lineWidth = 2.5;
  ctx.stroke();
  ctx.fill();
  ctx.beginPath();
  ctx.arc(x, y - 22, 3, 0, 7);
  ctx.fillStyle = colours.halo;
  ctx.fill();
}

function marker(ctx, view, place, rank, chosen, colours) {
  const [x, y] = view.toPixel(place.x, place.y);
  const radius = chosen ? 13 : 10;
  ctx.beginPath();
  ctx.arc(x, y, radius + 1.5, 0, 7);
  ctx.fillStyle = colours.halo;
  ctx.fill();
  ctx.beginPath();
  ctx.arc(x, y, radius, 0, 7);
  ctx.fillStyle = colours.accent;
  ctx.fill();
  ctx.fillStyle = colours.on;
  ctx.font = `600 ${chosen ? 12.5 : 11}px Inter, system-ui, sans-serif`;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  ctx.fillText(String(rank + 1), x, y + 0.5);
  if (chosen) label(ctx, place.name, x + radius + 5, y, colours.ink, colours);
}

function cross(ctx, x, y, colours) {
  for (const [width, colour] of [[5, colours.halo], [2, colours.cursor]]) {
    ctx.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      ctx.moveTo(x + 5 * dx, y + 5 * dy);
      ctx.lineTo(x + 15 * dx, y + 15 * dy);
    }
    ctx.strokeStyle = colour;
    ctx.lineWidth = width;
    ctx.stroke();
  }
}
