// The network: its weights over the snapshots that were kept, and what it makes of the plane.
import { get } from "../api.js";
import { Drawing } from "../drawing.js";
import { Fault, Heading, Link, html, useAsync, useEffect, useMemo, useState } from "../elements.js";
import { count, number, short } from "../format.js";
import { Matrices } from "../network/matrices.js";
import { Surface } from "../network/surface.js";
import { named, shapeOf } from "../shape.js";

const MOST_DRAWN = 400; // connections; more of them are shown as matrices
const FRAME_MS = 120;

export default function NetworkPage({ job: id }) {
  const [job, setJob] = useState(null);
  const [kept, setKept] = useState([]);
  const [at, setAt] = useState(0);
  const [error, setError] = useState(null);
  useAsync(
    async (signal) => {
      const [found, { data }] = await Promise.all([
        get(`/v1/jobs/${id}`, { signal }),
        get(`/v1/jobs/${id}/snapshots`, { signal }),
      ]);
      const inOrder = onceEach(data);
      setJob(found);
      setKept(inOrder);
      setAt(inOrder.length - 1);
    },
    [id],
    setError,
  );
  const snapshot = kept[Math.min(at, kept.length - 1)];
  const weights = useWeights(id, snapshot, setError);
  if (!job) return html`<${Heading} title="Network" /><${Fault} error=${error} />`;
  return html`
    <${Heading} title=${`The network of ${job.name || job.id}`} />
    <p><${Link} href=${`/jobs/${job.id}`}>Back to the job<//></p>
    <${Fault} error=${error} />
    ${!snapshot && html`<p class="hint">No weights are kept yet.</p>`}
    ${snapshot && html`<${Slider} ...${{ kept, at, setAt, snapshot }} />`}
    ${weights && html`<${Views} ...${{ job, weights, snapshot, setError }} />`}
  `;
}

/** One snapshot an epoch: the same weights may be kept for several reasons. */
function onceEach(snapshots) {
  const byEpoch = new Map();
  for (const each of snapshots) {
    const before = byEpoch.get(each.epoch);
    byEpoch.set(each.epoch, { ...each, kinds: [...(before?.kinds ?? []), each.kind] });
  }
  return [...byEpoch.values()].sort((a, b) => a.epoch - b.epoch);
}

const loaded = new Map(); // by address: weights do not change

function useWeights(id, snapshot, failed) {
  const [shown, setShown] = useState(null);
  const address = snapshot?.links.weights;
  useAsync(
    async (signal) => {
      if (!address) return;
      if (!loaded.has(address)) loaded.set(address, (await get(address, { signal })).weights);
      if (!signal.aborted) setShown({ epoch: snapshot.epoch, arrays: loaded.get(address) });
    },
    [address],
    failed,
  );
  return shown;
}

function Slider({ kept, at, setAt, snapshot }) {
  const [playing, setPlaying] = useState(false);
  useEffect(() => {
    if (!playing) return undefined;
    if (at >= kept.length - 1) return setPlaying(false);
    const timer = setTimeout(() => setAt(at + 1), FRAME_MS);
    return () => clearTimeout(timer);
  }, [playing, at]);
  const play = () => {
    if (at >= kept.length - 1) setAt(0);
    setPlaying(!playing);
  };
  return html`<div class="panel slider row">
    <button type="button" onClick=${play} disabled=${kept.length < 2}>${playing ? "Stop" : "Play"}</button>
    <label>
      <span class="visually-hidden">Snapshot</span>
      <input
        type="range"
        min="0"
        max=${kept.length - 1}
        value=${at}
        aria-valuetext=${`epoch ${snapshot.epoch}`}
        onInput=${(event) => (setPlaying(false), setAt(Number(event.target.value)))}
      />
    </label>
    <span class="epoch">epoch ${count(snapshot.epoch)}</span>
    <span class="quiet">${snapshot.kinds.join(", ")}</span>
    ${snapshot.metrics.loss !== undefined && html`<span class="quiet">loss ${short(snapshot.metrics.loss)}</span>`}
  </div>`;
}

function Views({ job, weights, snapshot, setError }) {
  const shape = useMemo(() => shapeOf(job.network), [job.id]);
  const small = shape.edges.length <= MOST_DRAWN;
  const [asMatrix, setAsMatrix] = useState(!small);
  const values = useMemo(() => valuesIn(job.network, shape, weights.arrays), [weights]);
  const planar = job.network.inputs === 2;
  return html`
    <div class=${planar ? "views two" : "views"}>
      <section>
        <div class="row spread">
          <h2>Weights</h2>
          <div class="row" role="group" aria-label="How weights are shown">
            <button type="button" aria-pressed=${!asMatrix} onClick=${() => setAsMatrix(false)}>Drawing</button>
            <button type="button" aria-pressed=${asMatrix} onClick=${() => setAsMatrix(true)}>Matrices</button>
          </div>
        </div>
        ${asMatrix
          ? html`<${Matrices} network=${job.network} arrays=${weights.arrays} />`
          : html`<${Drawing}
              shape=${shape}
              values=${values}
              under=${(unit) => biasOf(shape, values, unit)}
              label=${`The network's weights at epoch ${weights.epoch}`}
            />`}
        <p class="legend">
          <span class="key positive">positive</span><span class="key negative">negative</span>
          <span>${asMatrix ? "darker: larger" : "thicker: larger; under a unit its bias"}</span>
        </p>
      </section>
      ${planar && html`<${Surface} job=${job} snapshot=${snapshot} failed=${setError} />`}
    </div>
  `;
}

function biasOf({ columns, biases }, values, unit) {
  const found = biases.find(({ layer, j }) => columns[layer + 1].units[j].id === unit);
  return found && values[found.symbol] !== undefined ? short(values[found.symbol], 3) : "";
}

/** The weights of the files by the symbols of the drawing. */
function valuesIn(network, { edges, biases }, arrays) {
  const layers = named(network);
  const values = {};
  for (const { symbol, layer, j, i, sign } of edges)
    values[symbol] = sign * number(arrays[`${layers[layer].name}.weight`][j][i]);
  for (const { symbol, layer, j } of biases) {
    const array = arrays[`${layers[layer].name}.bias`];
    if (array) values[symbol] = number(array[Math.min(j, array.length - 1)]);
  }
  return values;
}
