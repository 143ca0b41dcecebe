// Where the step comes from: the article, a job, a stored network, or one of your own.
import { get, post } from "../api.js";
import { filled, named } from "../shape.js";
import { MAZUR } from "./mazur.js";

/** The step that an address asks for: a definition with every weight, a sample, a loss, a rate. */
export async function sourceOf(query, signal) {
  if (query.get("job")) return ofJob(query, signal);
  if (query.get("network")) {
    const { definition } = await get(`/v1/networks/${encodeURIComponent(query.get("network"))}`);
    return drawn({ ...bare(definition), network: definition }, signal);
  }
  return MAZUR;
}

async function ofJob(query, signal) {
  const id = query.get("job");
  const snapshot = query.get("snapshot") ?? "final";
  const asked = {
    job: id,
    snapshot: /^\d+$/.test(snapshot) ? Number(snapshot) : snapshot,
    row: Number(query.get("row") ?? 0),
  };
  const [job, trace] = await Promise.all([
    get(`/v1/jobs/${encodeURIComponent(id)}`, { signal }),
    post("/v1/trace", asked, { signal }),
  ]);
  return {
    network: filled(job.network, trace.values),
    inputs: trace.inputs,
    targets: trace.targets,
    loss: trace.loss,
    learning_rate: trace.learning_rate,
    update_order: trace.update_order,
  };
}

/** A small network of one's own, whose weights the service draws. */
export async function own({ inputs, hidden, outputs, activation, last, loss }, signal) {
  const layer = (units, how) => ({ units, activation: how });
  const layers = [...hidden.map((units) => layer(units, activation)), layer(outputs, last)];
  const network = { inputs, layers };
  return drawn({ ...bare(network), network: { ...network, layers: named(network) }, loss }, signal);
}

/** Half of everything as a sample, the first output as what it should say. */
function bare(network) {
  const outputs = network.layers.at(-1).units;
  return {
    inputs: Array(network.inputs).fill(0.5),
    targets: Array.from({ length: outputs }, (_, k) => (k === 0 ? 1 : 0)),
    loss: "half_squared_error",
    learning_rate: 0.5,
    update_order: "simultaneous",
  };
}

async function drawn(step, signal) {
  const trace = await post("/v1/trace", { ...step, seed: 1 }, { signal });
  return { ...step, network: filled(step.network, trace.values) };
}
