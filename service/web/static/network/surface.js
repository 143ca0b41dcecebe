// What a network of two inputs makes of the plane, under the points it has learned from.
import { get, post } from "../api.js";
import { html, useAsync, useEffect, useRef, useState } from "../elements.js";
import { number, short } from "../format.js";
import { colours, mixed } from "./matrices.js";

const SIDE = 56; // predictions along each axis
const DRAWN = 420; // pixels
const POINTS = 500;
const MARGIN = 0.12;

export function Surface({ job, snapshot, failed }) {
  const [data, setData] = useState(null);
  const [outputs, setOutputs] = useState(null);
  const canvas = useRef(null);
  useAsync(
    async (signal) => {
      const rows = await get(`/v1/datasets/${job.dataset_id}/rows?limit=${POINTS}`, { signal });
      setData({ ...rows, box: boxOf(rows.inputs) });
    },
    [job.id],
    failed,
  );
  useAsync(
    async (signal) => {
      if (data) setOutputs(await predicted(job.id, snapshot, data.box, signal));
    },
    [data, snapshot.id],
    failed,
  );
  const classes = data && data.targets[0].length > 1;
  useEffect(() => {
    const draw = () => outputs && paint(canvas.current, outputs, data, classes);
    draw();
    addEventListener("theme", draw);
    return () => removeEventListener("theme", draw);
  }, [outputs]);
  return html`<section aria-label="Decision surface">
    <h2>${classes ? "Decision surface" : "Output over the inputs"}</h2>
    <canvas
      ref=${canvas}
      class="surface"
      role="img"
      width=${DRAWN}
      height=${DRAWN}
      data-epoch=${outputs?.epoch}
      aria-label=${`What the network says over the plane of its two inputs at epoch ${snapshot.epoch}`}
    ></canvas>
    ${data &&
    html`<p class="hint">
      across: input 1, ${short(data.box[0][0], 3)} to ${short(data.box[0][1], 3)}; up: input 2,
      ${" "}${short(data.box[1][0], 3)} to ${short(data.box[1][1], 3)}. Circles are the data,
      ${" "}${classes ? "in the colour of their class." : "filled by their target."}
    </p>`}
  </section>`;
}

function boxOf(inputs) {
  return [0, 1].map((k) => {
    const [low, high] = [Math.min(...inputs.map((x) => x[k])), Math.max(...inputs.map((x) => x[k]))];
    const margin = (high - low || 1) * MARGIN;
    return [low - margin, high + margin];
  });
}

const seen = new Map(); // by snapshot: what it says does not change

async function predicted(id, snapshot, [[left, right], [low, high]], signal) {
  if (seen.has(snapshot.id)) return seen.get(snapshot.id);
  const along = (from, to, k) => from + ((to - from) * (k + 0.5)) / SIDE;
  const inputs = [];
  for (let y = 0; y < SIDE; y++)
    for (let x = 0; x < SIDE; x++) inputs.push([along(left, right, x), along(high, low, y)]);
  const asked = snapshot.kind === "every" ? snapshot.epoch : snapshot.kind;
  const answer = await post(`/v1/jobs/${id}/predict`, { inputs, snapshot: asked }, { signal });
  const found = { epoch: snapshot.epoch, values: answer.outputs.map((each) => each.map(number)) };
  seen.set(snapshot.id, found);
  return found;
}

function paletteOf() {
  const style = getComputedStyle(document.documentElement);
  return Array.from({ length: 8 }, (_, k) => {
    const text = style.getPropertyValue(`--series-${k + 1}`).trim();
    return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
  });
}

const largestAt = (values) => values.indexOf(Math.max(...values));

function paint(canvas, { values }, data, classes) {
  const { positive, negative, ground } = colours();
  const palette = paletteOf();
  const flat = values.map(([y]) => y);
  const targets = data.targets.map(([t]) => t);
  const [low, high] = [Math.min(...flat, ...targets), Math.max(...flat, ...targets)];
  const middle = (low + high) / 2;
  const half = (high - low) / 2 || 1;
  const ofValue = (y) => mixed(ground, y < middle ? negative : positive, Math.min(1, Math.abs(y - middle) / half));
  const ofClass = (y) => {
    const k = largestAt(y);
    return mixed(ground, palette[k % 8], 0.15 + 0.6 * Math.max(0, Math.min(1, y[k])));
  };
  const image = new ImageData(SIDE, SIDE);
  values.forEach((y, k) => {
    const colour = classes ? ofClass(y) : mixed(ground, ofValue(y[0]), 0.75);
    image.data.set([...colour, 255], 4 * k);
  });
  const small = new OffscreenCanvas(SIDE, SIDE);
  small.getContext("2d").putImageData(image, 0, 0);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = true;
  context.drawImage(small, 0, 0, DRAWN, DRAWN);
  const [[left, right], [bottom, top]] = data.box;
  data.inputs.forEach(([x, y], k) => {
    const t = data.targets[k];
    context.beginPath();
    context.arc(((x - left) / (right - left)) * DRAWN, ((top - y) / (top - bottom)) * DRAWN, 5.5, 0, 7);
    context.fillStyle = `rgb(${(classes ? palette[largestAt(t) % 8] : ofValue(t[0])).join()})`;
    context.fill();
    for (const [width, colour] of [[5, "white"], [1.5, "black"]]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.stroke();
    }
    context.fill();
  });
}
