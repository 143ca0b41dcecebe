// A job: its curve as it grows, what it came to, and what may be done with it.
import { ended, get, watch } from "../api.js";
import { Chart } from "../chart.js";
import { useCurve } from "../curve.js";
import { Fault, Heading, Link, Status, html, useAsync, useState } from "../elements.js";
import { ago, clock, count, duration, short } from "../format.js";
import { Actions } from "../job/actions.js";
import { Classes } from "../job/classes.js";
import { Downloads } from "../job/downloads.js";
import { Settings } from "../job/settings.js";

export default function Job({ job: id }) {
  const [job, setJob] = useState(null);
  const [error, setError] = useState(null);
  const [again, setAgain] = useState(0);
  useAsync((signal) => watch(id, setJob, signal), [id, again], setError);
  if (!job) return html`<${Heading} title=${error ? "No such job" : "Job"} /><${Fault} error=${error} />`;
  const changed = (next) => {
    setJob(next);
    setAgain(again + 1); // a job that had ended may go on
  };
  return html`
    <${Heading} title=${job.name || job.id} />
    <p class="row quiet">
      <${Status} job=${job} /> <code>${job.id}</code>
      <span>submitted ${clock(job.created_at)}</span>
      ${job.parent && html`<span>made of <${Link} href=${`/jobs/${job.parent}`}>another job<//></span>`}
    </p>
    <${Progress} job=${job} />
    ${job.error && html`<${Fault} error=${{ ...job.error, message: job.error.detail }} />`}
    <${Actions} job=${job} changed=${changed} />
    <${Curves} job=${job} />
    <${Metrics} job=${job} />
    <${Classes} job=${job} />
    <${Events} job=${job} />
    <${Settings} job=${job} />
    <${Downloads} job=${job} />
  `;
}

function Progress({ job }) {
  const { epoch, epochs, fraction, samples_per_second: rate } = job.progress;
  return html`<div class="row" aria-live="off">
    <progress class="wide" value=${fraction} max="1" aria-label="Progress"></progress>
    <span class="epochs">epoch ${count(epoch)} of ${count(epochs)}</span>
    ${job.status === "running" && rate && html`<span class="quiet">${count(Math.round(rate))} samples a second</span>`}
    ${job.eta_at && html`<span class="quiet">done ${ago(job.eta_at)}</span>`}
    ${job.status === "queued" && job.queue_position && html`<span class="quiet">number ${job.queue_position} in the queue</span>`}
    ${job.stop_reason && html`<span class="quiet">stopped: ${job.stop_reason.replaceAll("_", " ")}</span>`}
    ${job.started_at && job.finished_at && html`<span class="quiet">took ${duration((Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000)}</span>`}
  </div>`;
}

/** What is measured, each with its twin on the validation rows where there is one. */
function measured(job) {
  const names = Object.keys(job.metrics);
  const bases = [...new Set(names.map((each) => each.replace(/^val_/, "")))];
  return bases.map((base) => [base, names.filter((each) => each === base || each === `val_${base}`)]);
}

function Curves({ job }) {
  const choices = measured(job);
  const [base, setBase] = useState("loss");
  const [log, setLog] = useState(true);
  const [range, setRange] = useState(null);
  const columns = (choices.find(([each]) => each === base) ?? ["loss", []])[1];
  const level = useCurve(job, columns, range);
  if (!level) {
    return html`<section aria-label="Curve">
      <h2>Error curve</h2>
      <p class="hint">${ended(job) ? "It has no history." : "It grows here with the first epoch."}</p>
    </section>`;
  }
  const series = Object.entries(level.series).map(([name, values]) => ({
    label: name.startsWith("val_") ? `validation ${base}` : `training ${base}`,
    values,
    dashed: name.startsWith("val_"),
    colour: name.startsWith("val_") ? 1 : 0,
  }));
  return html`<section aria-label="Curve" data-points=${level.epoch.length} data-fine=${level.fine}>
    <div class="row spread">
      <h2>${base === "loss" ? "Error curve" : base.replaceAll("_", " ")}</h2>
      <div class="row">
        ${choices.length > 1 &&
        html`<label class="row">
          <span class="quiet">show</span>
          <select value=${base} onChange=${(event) => setBase(event.target.value)}>
            ${choices.map(([each]) => html`<option>${each}</option>`)}
          </select>
        </label>`}
        <label class="row">
          <input type="checkbox" checked=${log} onChange=${() => setLog(!log)} /> logarithmic
        </label>
      </div>
    </div>
    <${Chart}
      epoch=${level.epoch}
      series=${series}
      log=${log}
      range=${range}
      whole=${[1, Math.max(2, job.progress.epoch)]}
      onRange=${setRange}
      label=${`Curve of ${base} over ${count(job.progress.epoch)} epochs, now ${short(job.metrics[base]?.last)}`}
    />
    <p class="hint">Drag to zoom, Shift and drag to move, double-click for everything.</p>
  </section>`;
}

function Metrics({ job }) {
  const rows = Object.entries(job.metrics);
  if (!rows.length) return null;
  return html`<section>
    <h2>Metrics</h2>
    <div class="scroll" tabindex="0" role="region" aria-label="Metrics">
      <table>
        <thead>
          <tr>
            <th scope="col">metric</th>
            ${["first", "last", "least", "at epoch", "greatest", "at epoch", "final weights"].map(
              (each) => html`<th scope="col" class="right">${each}</th>`,
            )}
          </tr>
        </thead>
        <tbody>
          ${rows.map(
            ([name, each]) => html`<tr>
              <th scope="row">${name}</th>
              <td class="right">${short(each.first, 6)}</td>
              <td class="right">${short(each.last, 6)}</td>
              <td class="right">${short(each.min, 6)}</td>
              <td class="right quiet">${count(each.min_epoch)}</td>
              <td class="right">${short(each.max, 6)}</td>
              <td class="right quiet">${count(each.max_epoch)}</td>
              <td class="right">${job.final?.[name] === undefined ? "" : short(job.final[name], 6)}</td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}

const EVENTS = 1000;

function Events({ job }) {
  const [events, setEvents] = useState([]);
  const moves = job.transitions.length;
  useAsync(
    async (signal) => {
      const { data } = await get(`/v1/jobs/${job.id}/events?limit=${EVENTS}`, { signal });
      setEvents(data);
    },
    [job.id, job.status, job.want, moves],
    () => {},
  );
  return html`<section>
    <h2>Events</h2>
    <ol class="events" tabindex="0" aria-label="Events">
      ${events.map(
        (each) => html`<li key=${each.seq}>
          <time datetime=${each.at}>${clock(each.at)}</time>
          <strong>${each.kind === "moved" ? each.to_status : each.kind}</strong>
          <span class="quiet">${each.reason} (${each.actor})</span>
        </li>`,
      )}
    </ol>
  </section>`;
}
