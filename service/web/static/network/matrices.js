// Weights of larger networks as pictures: a row a unit, a column what it is fed by.
import { html, useEffect, useRef, useState } from "../elements.js";
import { number, short } from "../format.js";
import { named } from "../shape.js";

const WIDEST = 560;
const CELL = 22; // at most

export function Matrices({ network, arrays }) {
  const layers = named(network);
  const all = layers.map(({ name }) => arrays[`${name}.weight`].map((row) => row.map(number)));
  return layers.map(
    ({ name }, k) => html`<figure key=${name}>
      <figcaption>
        ${name}: ${all[k].length} × ${all[k][0].length}, largest
        ${" "}${short(largest(all[k]))}
      </figcaption>
      <${Matrix} rows=${all[k]} name=${name} />
    </figure>`,
  );
}

function largest(rows) {
  return rows.reduce((most, row) => row.reduce((m, w) => Math.max(m, Math.abs(w)), most), 0);
}

function Matrix({ rows, name }) {
  const canvas = useRef(null);
  const [under, setUnder] = useState(null);
  const [theme, setTheme] = useState(0);
  const [height, width] = [rows.length, rows[0].length];
  const cell = Math.max(1, Math.min(CELL, Math.floor(WIDEST / width)));
  useEffect(() => {
    const turned = () => setTheme((before) => before + 1);
    addEventListener("theme", turned);
    return () => removeEventListener("theme", turned);
  }, []);
  useEffect(() => paint(canvas.current, rows), [rows, theme]);
  const point = (event) => {
    const box = event.target.getBoundingClientRect();
    const j = Math.min(height - 1, Math.floor(((event.clientY - box.top) / box.height) * height));
    const i = Math.min(width - 1, Math.floor(((event.clientX - box.left) / box.width) * width));
    if (j >= 0 && i >= 0) setUnder({ i, j });
  };
  return html`<canvas
      ref=${canvas}
      class="matrix"
      role="img"
      aria-label=${`Weights of ${name}, ${height} units by ${width} inputs`}
      width=${width}
      height=${height}
      style=${{ width: `${cell * width}px`, aspectRatio: `${width} / ${height}` }}
      onMouseMove=${point}
      onMouseLeave=${() => setUnder(null)}
    ></canvas>
    <p class="hint" aria-live="off">
      ${under ? `unit ${under.j + 1}, input ${under.i + 1}: ${short(rows[under.j][under.i], 6)}` : "Point at a weight to read it."}
    </p>`;
}

/** A colour of the style sheet as its three numbers. */
function rgb(name) {
  const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map((k) => parseInt(text.slice(k, k + 2), 16));
}

export function mixed(from, to, share) {
  return from.map((each, k) => Math.round(each + (to[k] - each) * share));
}

export const colours = () => ({
  positive: rgb("--positive"),
  negative: rgb("--negative"),
  ground: rgb("--raised"),
});

function paint(canvas, rows) {
  const { positive, negative, ground } = colours();
  const most = largest(rows) || 1;
  const image = new ImageData(rows[0].length, rows.length);
  let place = 0;
  for (const row of rows)
    for (const w of row) {
      const colour = mixed(ground, w < 0 ? negative : positive, Math.abs(w) / most);
      image.data.set([...colour, 255], place);
      place += 4;
    }
  canvas.getContext("2d").putImageData(image, 0, 0);
}
