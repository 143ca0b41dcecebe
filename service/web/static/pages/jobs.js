// Jobs: what is queued, what learns, what is done; and the way to everything else.
import { ended, get, pause, post, repeat } from "../api.js";
import { Sparkline } from "../chart.js";
import { Fault, Heading, Link, Status, html, navigate, useAsync, useRef, useState } from "../elements.js";
import { ago, count, number, short } from "../format.js";
import { EXAMPLES } from "../examples.js";

const LOOK_MS = 1000;
const PAGE = 50;
const SPARK_POINTS = 60;
const STATES = ["queued", "running", "paused", "succeeded", "failed", "cancelled"];

export default function Jobs({ address }) {
  const query = new URLSearchParams(address.split("?")[1] ?? "");
  const { page, curves, error } = useJobs(query);
  const [chosen, setChosen] = useState([]);
  const choose = (id) =>
    setChosen(chosen.includes(id) ? chosen.filter((each) => each !== id) : [...chosen, id]);
  const filtered = query.get("filter") || query.get("status");
  return html`
    <${Heading} title="Jobs" />
    <${Beginnings} />
    <section>
      <div class="row spread">
        <${Search} query=${query} error=${error} />
        <div class="row">
          <button
            type="button"
            disabled=${chosen.length < 2}
            onClick=${() => navigate(`/compare?jobs=${chosen.join(",")}`)}
          >
            Compare${chosen.length > 1 ? ` ${chosen.length}` : ""}
          </button>
          <${Link} class="button main" href="/jobs/new">New job<//>
        </div>
      </div>
      ${page && page.data.length > 0 && html`<${Table} jobs=${page.data} ...${{ curves, chosen, choose }} />`}
      ${page?.data.length === 0 &&
      html`<p class="empty">${filtered ? "No job is like that." : "There are no jobs yet: try one of those above."}</p>`}
      ${page?.has_more && html`<${More} query=${query} cursor=${page.next_cursor} />`}
    </section>
  `;
}

function More({ query, cursor }) {
  const next = new URLSearchParams(query);
  next.set("cursor", cursor);
  return html`<p><${Link} class="button" href=${`/?${next}`}>Older jobs<//></p>`;
}

/** The jobs as they are, and a curve for each that has one. */
function useJobs(query) {
  const [state, setState] = useState({ page: null, curves: {}, error: null });
  const seen = useRef({}); // id -> the epoch that its curve goes to
  useAsync(
    async (signal) => {
      const look = async () => {
        try {
          const page = await get(`/v1/jobs?${withLimit(query)}`, { signal });
          setState((before) => ({ ...before, page, error: null }));
          const curves = await fresh(page.data, seen.current, signal);
          setState((before) => ({ ...before, curves: { ...before.curves, ...curves } }));
        } catch (error) {
          if (signal.aborted) throw error;
          setState((before) => ({ ...before, error }));
          if (error.status === 400 || error.status === 422) await stopped(signal);
        }
      };
      await repeat(look, LOOK_MS, signal);
    },
    [query.toString()],
  );
  return state;
}

/** What was asked is wrong: it stays wrong until somebody asks something else. */
const stopped = (signal) => pause(2 ** 30, signal);

function withLimit(query) {
  const asked = new URLSearchParams({ limit: PAGE });
  for (const [name, value] of query) if (value) asked.set(name, value);
  return asked;
}

async function fresh(jobs, seen, signal) {
  const stale = jobs.filter(({ id, progress, metrics }) => metrics.loss && seen[id] !== progress.epoch);
  if (!stale.length) return {};
  const asked = { jobs: stale.map(({ id }) => id), metrics: ["loss"], points: SPARK_POINTS };
  const { data } = await post("/v1/history/compare", asked, { signal });
  for (const { id, progress } of stale) seen[id] = progress.epoch;
  return Object.fromEntries(data.map(({ job, series }) => [job, series.loss.map(number)]));
}

function Search({ query, error }) {
  const [text, setText] = useState(query.get("filter") ?? "");
  const go = (changes) => {
    const next = new URLSearchParams(query);
    for (const [name, value] of Object.entries({ cursor: "", ...changes }))
      value ? next.set(name, value) : next.delete(name);
    navigate(next.size ? `/?${next}` : "/", { replace: true });
  };
  const submit = (event) => {
    event.preventDefault();
    go({ filter: text.trim() });
  };
  const fault = error?.errors?.find(({ pointer }) => pointer === "/filter");
  const wrong = fault && `At character ${fault.position}: ${fault.detail}`;
  return html`<form class="fields search" onSubmit=${submit} role="search">
    <label class="field">
      <span>state</span>
      <select value=${query.get("status") ?? ""} onChange=${(event) => go({ status: event.target.value })}>
        <option value="">any</option>
        ${STATES.map((each) => html`<option>${each}</option>`)}
      </select>
    </label>
    <label class="field wide" data-wrong=${wrong ? "" : null}>
      <span>filter</span>
      <input
        type="search"
        value=${text}
        placeholder='metrics.loss.min < 0.01 and name like "xor%"'
        aria-invalid=${wrong ? "true" : null}
        onInput=${(event) => setText(event.target.value)}
      />
      ${wrong && html`<span class="wrong" role="alert">${wrong}</span>`}
    </label>
    <button>Find</button>
    ${error && !wrong && html`<${Fault} error=${error} />`}
  </form>`;
}

function Table({ jobs, curves, chosen, choose }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="List of jobs">
    <table class="full jobs">
      <thead>
        <tr>
          <th scope="col"><span class="visually-hidden">Compare</span></th>
          <th scope="col">job</th>
          <th scope="col">state</th>
          <th scope="col">epoch</th>
          <th scope="col">loss, by epoch</th>
          <th scope="col" class="right">last</th>
          <th scope="col" class="right">least</th>
          <th scope="col">submitted</th>
        </tr>
      </thead>
      <tbody>
        ${jobs.map((job) => html`<${Row} key=${job.id} ...${{ job, choose }} curve=${curves[job.id]} chosen=${chosen.includes(job.id)} />`)}
      </tbody>
    </table>
  </div>`;
}

function Row({ job, curve, chosen, choose }) {
  const { epoch, epochs, fraction } = job.progress;
  const name = job.name || job.id;
  return html`<tr>
    <td>
      <input
        type="checkbox"
        aria-label=${`Compare ${name}`}
        checked=${chosen}
        onChange=${() => choose(job.id)}
      />
    </td>
    <td class="named"><${Link} href=${`/jobs/${job.id}`}>${name}<//></td>
    <td><${Status} job=${job} /></td>
    <td>
      ${!ended(job) && html`<progress value=${fraction} max="1" aria-label=${`Progress of ${name}`}></progress>${" "}`}
      <span class="quiet">${count(epoch)} of ${count(epochs)}</span>
    </td>
    <td>
      ${curve && html`<${Sparkline} values=${curve} label=${`Loss of ${name}, from ${short(curve[0])} to ${short(curve.at(-1))}`} />`}
    </td>
    <td class="right">${short(job.metrics.loss?.last)}</td>
    <td class="right">${short(job.metrics.loss?.min)}</td>
    <td class="quiet">${ago(job.created_at)}</td>
  </tr>`;
}

/** What somebody who has just come may want to see. */
function Beginnings() {
  const [error, setError] = useState(null);
  const train = (example) => async () => {
    try {
      navigate(`/jobs/${(await post("/v1/jobs", example)).id}`);
    } catch (problem) {
      setError(problem);
    }
  };
  return html`<div class="beginnings">
      <${Link} class="panel" href="/step-by-step">
        <strong>Mazur's example, step by step</strong>
        <span>Every number of one training step, typeset as his article does.</span>
      <//>
      ${EXAMPLES.map(
        ({ title, text, job }) => html`<button type="button" class="panel" onClick=${train(job)}>
          <strong>${title}</strong><span>${text}</span>
        </button>`,
      )}
    </div>
    <${Fault} error=${error} />`;
}
