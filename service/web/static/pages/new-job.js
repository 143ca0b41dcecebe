// A new job: a form made of the contract, or files dropped on the page.
import { ask, constant, get, pause, post } from "../api.js";
import { Copy, Fault, Heading, html, navigate, useAsync, useEffect, useState } from "../elements.js";
import { DatasetField, fitted, onData, useDatasets } from "../form/data.js";
import { Fields } from "../form/fields.js";
import { NetworkForm } from "../form/network.js";
import { asCurl, asPython, bodyOf } from "../job/settings.js";
import { count } from "../format.js";

const TYPING_MS = 300;
const FIRST = ["epochs", "batch_size", "loss", "optimizer", "validation"];

export default function NewJob({ address }) {
  const asked = new URLSearchParams(address.split("?")[1] ?? "").get("clone");
  const clone = asked && encodeURIComponent(asked);
  const [job, setJob] = useState(null);
  const [contract, setContract] = useState(null);
  const [error, setError] = useState(null);
  const [uploads, setUploads] = useState(0);
  const datasets = useDatasets(uploads);
  const { problem, estimate } = useVerdict(job);
  useAsync(
    async (signal) => {
      const [document, { parts }] = await Promise.all([
        constant("/v1/openapi.json"),
        constant("/v1/catalog"),
      ]);
      setContract({ document, catalog: parts });
      const [example] = document.components.schemas.JobSpec.examples;
      setJob(clone ? bodyOf(await get(`/v1/jobs/${clone}`, { signal })) : example);
    },
    [clone],
    setError,
  );
  const take = async (files) => {
    setError(null);
    try {
      setJob(await withFiles(job, [...files]));
      setUploads(uploads + 1);
    } catch (fault) {
      setError(fault);
    }
  };
  useDrop(take, [job]);
  const submit = async (event) => {
    event.preventDefault();
    try {
      const made = clone ? await post(`/v1/jobs/${clone}/clone`, job) : await post("/v1/jobs", job);
      navigate(`/jobs/${made.id}`);
    } catch (fault) {
      setError(fault);
    }
  };
  if (!job || !contract)
    return html`<${Heading} title="New job" /><${Fault} error=${error} />`;
  const context = { ...contract, problem };
  const { schemas } = contract.document.components;
  const training = {
    schema: schemas.TrainingSpec,
    value: job.training,
    change: (next) => setJob({ ...job, training: next }),
    pointer: "/training",
    context,
  };
  return html`
    <${Heading} title=${clone ? "Clone a job" : "New job"} />
    <form class="new-job" onSubmit=${submit} noValidate>
      <${Dropped} take=${take} />
      <${Fault} error=${error} except=${error?.errors?.map(({ pointer }) => pointer).filter((each) => shown(each))} />
      <section>
        <h2>Data</h2>
        <div class="fields">
          <${DatasetField}
            known=${datasets}
            value=${job.dataset}
            context=${context}
            choose=${(id) => setJob(fitted(job, datasets.find((each) => each.id === id)))}
          />
          <${Fields} schema=${schemas.JobSpec} only=${["name"]} value=${job} change=${setJob} pointer="" context=${context} />
        </div>
      </section>
      <section>
        <h2>Network</h2>
        ${typeof job.network === "object"
          ? html`<${NetworkForm}
              value=${job.network}
              change=${(network) => setJob({ ...job, network })}
              pointer="/network"
              context=${context}
              verdict=${estimate}
            />`
          : html`<p>The network <code>${job.network}</code>.</p>`}
      </section>
      <section>
        <h2>Training</h2>
        <div class="fields"><${Fields} ...${training} only=${FIRST} /></div>
        <details>
          <summary>More of the training</summary>
          <div class="fields"><${Fields} ...${training} except=${FIRST} /></div>
        </details>
        <details>
          <summary>What is kept, and when it runs</summary>
          <div class="fields">
            <${Fields}
              schema=${schemas.JobSpec}
              except=${["network", "dataset", "training", "name", "webhook"]}
              value=${job}
              change=${setJob}
              pointer=""
              context=${context}
            />
          </div>
        </details>
      </section>
      <div class="row submit">
        <button class="main">Train</button>
        <${Verdict} problem=${problem} estimate=${estimate} />
        <${Copy} text=${asCurl(job)}>Copy as curl<//>
        <${Copy} text=${asPython(job)}>Copy as Python<//>
      </div>
      <details>
        <summary>The body that will be sent</summary>
        <pre tabindex="0">${JSON.stringify(job, null, 2)}</pre>
      </details>
    </form>
  `;
}

const shown = (pointer) => document.querySelector(`[data-pointer="${CSS.escape(pointer)}"]`) !== null;

/** What the service says of the job as it is typed. */
function useVerdict(job) {
  const [verdict, setVerdict] = useState({});
  useAsync(
    async (signal) => {
      if (!job) return;
      await pause(TYPING_MS, signal);
      if (signal.aborted) return;
      const { estimate } = await post("/v1/jobs?validate_only=true", job, { signal });
      setVerdict({ estimate });
    },
    [job],
    (problem) => setVerdict({ problem }),
  );
  return verdict;
}

function Verdict({ problem, estimate }) {
  if (problem) {
    const others = problem.errors?.filter(({ pointer }) => !shown(pointer)) ?? [];
    return html`<span class="wrong" role="status">
      ${problem.errors?.length ? `${problem.errors.length} to be put right` : problem.message}
      ${others.map((each) => html`<span class="wrong"><code>${each.pointer}</code> ${each.detail}</span>`)}
    </span>`;
  }
  if (!estimate) return null;
  return html`<span class="quiet" role="status">
    ${count(estimate.parameter_count)} parameters, ${count(estimate.presentations)} presentations
  </span>`;
}

/** The job with what these files hold: a definition first, then data that it is for. */
async function withFiles(job, files) {
  const definitions = files.filter(isDefinition);
  let next = job;
  for (const file of definitions) next = defined(next, JSON.parse(await file.text()), file.name);
  for (const file of files.filter((each) => !isDefinition(each))) {
    const dataset = await uploaded(file);
    next = definitions.length ? onData(next, dataset) : fitted(next, dataset);
  }
  return next;
}

const isDefinition = (file) => file.name.toLowerCase().endsWith(".json");

function defined(job, found, name) {
  if (found.training) return found;
  if (found.layers) return { ...job, network: found };
  if (found.inputs && found.targets) return { ...job, dataset: found };
  throw Object.assign(new Error(`${name} is no network, no job and no rows.`), { title: "Not taken" });
}

async function uploaded(file) {
  const form = new FormData();
  form.append("file", file);
  form.append("name", file.name.slice(0, 200));
  form.append("scaling", "standard");
  const { id, inputs, targets, task } = await ask("POST", "/v1/datasets", form);
  return { id, inputs: inputs.length, outputs: targets.length, task };
}

function Dropped({ take }) {
  return html`<label class="drop">
    <span>Drop a CSV file here, a definition as JSON, or both; or choose them:</span>
    <input type="file"  multiple accept=".csv,.json,text/csv,application/json" onChange=${async (event) => {
      await take(event.target.files);
      event.target.value = "";
    }} />
  </label>`;
}

/** Files that are dropped anywhere on the page. */
function useDrop(take, dependencies) {
  useEffect(() => {
    const over = (event) => event.preventDefault();
    const drop = async (event) => {
      event.preventDefault();
      await take(event.dataTransfer.files);
    };
    addEventListener("dragover", over);
    addEventListener("drop", drop);
    return () => {
      removeEventListener("dragover", over);
      removeEventListener("drop", drop);
    };
  }, dependencies);
}
