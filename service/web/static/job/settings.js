// What was asked, whole, and how to ask for it again from elsewhere.
import { Copy, html } from "../elements.js";

/** The job as a body for POST /v1/jobs. */
export function bodyOf(job) {
  const { name, tags, priority, network, dataset_id, dataset, training, history, snapshots } = job;
  return {
    ...(name ? { name } : {}),
    ...(Object.keys(tags).length ? { tags } : {}),
    priority,
    network,
    dataset: typeof dataset === "string" && dataset.startsWith("builtin:") ? dataset : dataset_id,
    training,
    history,
    snapshots,
  };
}

export function asCurl(body) {
  const text = JSON.stringify(body).replaceAll("'", "'\\''");
  return `curl -s ${location.origin}/v1/jobs -H 'Content-Type: application/json' -d '${text}'`;
}

export function asPython(body) {
  return [
    "from backpropd.client import Client",
    "",
    `with Client(${python(location.origin)}) as client:`,
    `    job = client.submit(${python(body)})`,
    '    print(job["id"])',
  ].join("\n");
}

/** A JSON value as Python writes it. */
function python(value) {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  const items = Object.entries(value).map(([key, each]) => `${JSON.stringify(key)}: ${python(each)}`);
  return `{${items.join(", ")}}`;
}

export function Settings({ job }) {
  const body = bodyOf(job);
  return html`<section>
    <div class="row spread">
      <h2>Settings</h2>
      <div class="row">
        <${Copy} text=${asCurl(body)}>Copy as curl<//>
        <${Copy} text=${asPython(body)}>Copy as Python<//>
      </div>
    </div>
    <dl class="settings">
      ${summary(job).map(([name, text]) => html`<div><dt>${name}</dt><dd>${text}</dd></div>`)}
    </dl>
    <details>
      <summary>Everything, with every default</summary>
      <pre tabindex="0">${JSON.stringify(body, null, 2)}</pre>
    </details>
    ${job.lineage &&
    html`<details>
      <summary>Lineage: data, seed and versions</summary>
      <pre tabindex="0">${JSON.stringify(job.lineage, null, 2)}</pre>
    </details>`}
  </section>`;
}

const named = (part) => (typeof part === "string" ? part : part.name);

function summary({ network, training, dataset, dataset_id }) {
  const layers = network.layers.map((each) => `${each.units} ${named(each.activation)}`);
  return [
    ["network", [`${network.inputs} inputs`, ...layers].join(" → ")],
    ["dataset", typeof dataset === "string" ? dataset : dataset_id],
    ["loss", named(training.loss)],
    ["optimizer", `${named(training.optimizer)}, rate ${training.optimizer.learning_rate ?? "its own"}`],
    ["batch", String(training.batch_size)],
    ["seed", String(training.seed)],
  ];
}
