// Several jobs on one chart, what they differ in, and where each was best.
import { get, post } from "../api.js";
import { Chart } from "../chart.js";
import { Fault, Heading, Link, Status, html, navigate, useAsync, useMemo, useState } from "../elements.js";
import { count, number, short } from "../format.js";
import { bodyOf } from "../job/settings.js";

const POINTS = 800;
const MOST = 8; // as many as there are colours to tell apart
const LISTED = 100;
const METRICS = ["loss", "val_loss"];

export default function Compare({ address }) {
  const query = new URLSearchParams(address.split("?")[1] ?? "");
  const ids = [...new Set((query.get("jobs") ?? "").split(",").filter(Boolean))].slice(0, MOST);
  const [found, setFound] = useState(null); // {jobs, curves}
  const [error, setError] = useState(null);
  useAsync(
    async (signal) => {
      setError(null);
      if (!ids.length) return setFound(null);
      const jobs = await Promise.all(ids.map((id) => get(`/v1/jobs/${encodeURIComponent(id)}`, { signal })));
      const curved = jobs.filter(({ metrics }) => metrics.loss).map(({ id }) => id);
      const asked = { jobs: curved, metrics: METRICS, points: POINTS };
      const { data } = curved.length ? await post("/v1/history/compare", asked, { signal }) : { data: [] };
      return setFound({ jobs, curves: data });
    },
    [ids.join()],
    setError,
  );
  return html`
    <${Heading} title="Compare" />
    <${Picker} ids=${ids} />
    <${Fault} error=${error} />
    ${found && html`<${Curves} ...${found} /><${Best} jobs=${found.jobs} /><${Differences} jobs=${found.jobs} />`}
  `;
}

const titleOf = (job) => job.name || job.id;
const to = (ids) => navigate(ids.length ? `/compare?jobs=${ids.join()}` : "/compare");

function Picker({ ids }) {
  const [jobs, setJobs] = useState([]);
  useAsync(
    async (signal) => setJobs((await get(`/v1/jobs?limit=${LISTED}`, { signal })).data),
    [],
    () => {},
  );
  const name = (id) => titleOf(jobs.find((each) => each.id === id) ?? { id });
  const others = jobs.filter(({ id }) => !ids.includes(id));
  return html`<div class="row picker">
    ${ids.map(
      (id, k) => html`<span class="chip" key=${id}>
        <span class=${`swatch series-${k + 1}`}></span>${name(id)}
        <button type="button" aria-label=${`Leave out ${name(id)}`} onClick=${() => to(ids.filter((each) => each !== id))}>×</button>
      </span>`,
    )}
    ${ids.length < MOST &&
    html`<label class="row">
      <span class="quiet">add</span>
      <select value="" onChange=${(event) => event.target.value && to([...ids, event.target.value])}>
        <option value="">a job …</option>
        ${others.map((job) => html`<option value=${job.id}>${titleOf(job)} (${job.status})</option>`)}
      </select>
    </label>`}
  </div>`;
}

/** All curves over one axis: where a job has no row there is nothing to draw. */
function joined(curves, colourOf, titles) {
  const epochs = [...new Set(curves.flatMap(({ epoch }) => epoch))].sort((a, b) => a - b);
  const place = new Map(epochs.map((epoch, k) => [epoch, k]));
  const series = curves.flatMap(({ job, epoch, series: columns }) =>
    Object.entries(columns).map(([name, ys]) => {
      const values = Array(epochs.length).fill(undefined);
      epoch.forEach((each, k) => (values[place.get(each)] = number(ys[k])));
      const kind = name === "loss" ? "training" : "validation";
      return { label: `${titles.get(job)}, ${kind}`, values, dashed: name !== "loss", colour: colourOf(job) };
    }),
  );
  return { epochs, series };
}

function Curves({ jobs, curves }) {
  const [log, setLog] = useState(true);
  const [range, setRange] = useState(null);
  const { epochs, series } = useMemo(() => {
    const ids = jobs.map(({ id }) => id);
    return joined(curves, (id) => ids.indexOf(id), new Map(jobs.map((each) => [each.id, titleOf(each)])));
  }, [curves]);
  if (!epochs.length) return html`<p class="hint">None of them has a history yet.</p>`;
  return html`<section aria-label="Curves">
    <div class="row spread">
      <h2>Error curves</h2>
      <label class="row">
        <input type="checkbox" checked=${log} onChange=${() => setLog(!log)} /> logarithmic
      </label>
    </div>
    <${Chart}
      epoch=${epochs}
      series=${series}
      log=${log}
      range=${range}
      whole=${[1, epochs.at(-1)]}
      onRange=${setRange}
      label=${`Error curves of ${jobs.map(titleOf).join(", ")}`}
    />
  </section>`;
}

function Best({ jobs }) {
  const measured = [...new Set(jobs.flatMap(({ metrics }) => Object.keys(metrics)))].filter((each) => METRICS.includes(each));
  return html`<section>
    <h2>Best epochs</h2>
    <div class="scroll" tabindex="0" role="region" aria-label="Best epochs">
      <table>
        <thead>
          <tr>
            <th scope="col">job</th><th scope="col">state</th><th scope="col" class="right">epochs</th>
            ${measured.map((each) => html`<th scope="col" class="right">least ${each}</th><th scope="col" class="right">at epoch</th>`)}
            <th scope="col" class="right">final loss</th>
          </tr>
        </thead>
        <tbody>
          ${jobs.map(
            (job, k) => html`<tr>
              <th scope="row"><span class=${`swatch series-${k + 1}`}></span><${Link} href=${`/jobs/${job.id}`}>${titleOf(job)}<//></th>
              <td><${Status} job=${job} /></td>
              <td class="right">${count(job.progress.epoch)}</td>
              ${measured.map((each) => {
                const metric = job.metrics[each];
                return html`<td class="right">${short(metric?.min, 6)}</td><td class="right">${count(metric?.min_epoch)}</td>`;
              })}
              <td class="right">${short(job.final?.loss, 6)}</td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}

/** A body as paths and values: training.optimizer.learning_rate -> 0.05 */
function flattened(value, path = "", found = {}) {
  if (value === null || typeof value !== "object") found[path] = JSON.stringify(value);
  else if (Array.isArray(value) && value.every((each) => typeof each === "number"))
    found[path] = value.length > 6 ? `${value.length} numbers` : JSON.stringify(value);
  else
    for (const [key, each] of Object.entries(value)) flattened(each, path ? `${path}.${key}` : key, found);
  return found;
}

function Differences({ jobs }) {
  const rows = useMemo(() => {
    const all = jobs.map((job) => flattened(bodyOf(job)));
    const paths = [...new Set(all.flatMap(Object.keys))].filter((path) => path !== "name");
    const said = paths.map((path) => [path, all.map((each) => each[path] ?? "–")]);
    return said.filter(([, texts]) => new Set(texts).size > 1);
  }, [jobs]);
  if (jobs.length < 2) return null;
  return html`<section>
    <h2>Settings that differ</h2>
    ${!rows.length && html`<p class="hint">None: they were asked for alike.</p>`}
    ${rows.length > 0 &&
    html`<div class="scroll" tabindex="0" role="region" aria-label="Settings that differ">
      <table class="differences">
        <thead>
          <tr>
            <th scope="col">setting</th>
            ${jobs.map((job, k) => html`<th scope="col"><span class=${`swatch series-${k + 1}`}></span>${titleOf(job)}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${rows.map(
            ([path, texts]) => html`<tr>
              <th scope="row"><code>${path}</code></th>
              ${texts.map((each) => html`<td>${each}</td>`)}
            </tr>`,
          )}
        </tbody>
      </table>
    </div>`}
  </section>`;
}
