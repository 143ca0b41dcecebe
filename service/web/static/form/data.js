// The dataset's part of the form: one that is here already, or a CSV that is dropped.
import { get } from "../api.js";
import { html, useAsync, useState } from "../elements.js";
import { count } from "../format.js";

/** Every dataset that may be chosen: {id, title, inputs, outputs, task}. */
export function useDatasets(again) {
  const [known, setKnown] = useState([]);
  useAsync(
    async (signal) => {
      const [own, builtin] = await Promise.all([
        get("/v1/datasets?limit=200", { signal }),
        get("/v1/datasets/builtin", { signal }),
      ]);
      const theirs = builtin.data.map((each) => ({
        id: each.name,
        title: `${each.name.replace("builtin:", "")} (built in, ${count(each.rows)} rows)`,
        inputs: each.inputs,
        outputs: each.targets,
        task: each.task,
      }));
      setKnown([...own.data.map(ofRow), ...theirs]);
    },
    [again],
    () => {},
  );
  return known;
}

function ofRow({ id, name, rows, inputs, targets, task }) {
  return {
    id,
    title: `${name || id} (${count(rows)} rows)`,
    inputs: inputs.length,
    outputs: targets.length,
    task,
  };
}

export function DatasetField({ known, value, choose, context }) {
  const faults = context.problem?.at?.("/dataset") ?? [];
  const inline = typeof value === "object";
  return html`<label class="field wide" data-wrong=${faults.length ? "" : null}>
    <span>dataset</span>
    <select value=${inline ? "" : value} onChange=${(event) => choose(event.target.value)}>
      ${inline && html`<option value="">the rows of the definition</option>`}
      ${!inline && !known.some(({ id }) => id === value) && html`<option value=${value}>${value}</option>`}
      ${known.map(({ id, title }) => html`<option value=${id}>${title}</option>`)}
    </select>
    ${faults.map((each) => html`<span class="wrong" role="alert">${each}</span>`)}
  </label>`;
}

/** The loss that suits what a dataset asks for and the last layer's outputs are. */
function lossFor(task, activation) {
  const name = typeof activation === "string" ? activation : activation?.name;
  if (name === "softmax") return "cross_entropy";
  return task === "classification" && name === "logistic" ? "binary_cross_entropy" : "mean_squared_error";
}

/** The job on another dataset, with the network that it has. */
export function onData(job, dataset) {
  const last = job.network.layers?.at(-1);
  const loss = last ? lossFor(dataset.task, last.activation) : job.training.loss;
  return { ...job, dataset: dataset.id, training: { ...job.training, loss } };
}

/** The job on another dataset, with a network that has as many inputs and outputs as that. */
export function fitted(job, dataset) {
  if (typeof job.network !== "object") return { ...job, dataset: dataset.id };
  const classes = dataset.task === "classification";
  const activation = !classes ? "linear" : dataset.outputs > 1 ? "softmax" : "logistic";
  const layers = job.network.layers.map((each, k, all) =>
    k === all.length - 1 ? { ...each, units: dataset.outputs, activation } : each,
  );
  return onData({ ...job, network: { ...job.network, inputs: dataset.inputs, layers } }, dataset);
}
