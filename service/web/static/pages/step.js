// Step by step: one training step in full, as a walk.
import { constant, pause, post } from "../api.js";
import { Drawing } from "../drawing.js";
import { Fault, Heading, html, useAsync, useMemo, useState } from "../elements.js";
import { number, printed, short } from "../format.js";
import { shapeOf, valuesOf } from "../shape.js";
import { Article } from "../step/article.js";
import { Chooser } from "../step/chooser.js";
import { Derivation } from "../step/derivation.js";
import { MAZUR } from "../step/mazur.js";
import { Numbers } from "../step/numbers.js";
import { sourceOf } from "../step/source.js";
import { Sheet, Walk } from "../step/walk.js";

const TYPING_MS = 120; // a person who still types is not answered yet

export default function StepByStep({ address }) {
  const query = new URLSearchParams(address.split("?")[1] ?? "");
  const [step, setStep] = useState(null);
  const [seen, setSeen] = useState(null); // {step, trace, twin, catalog}
  const [error, setError] = useState(null);
  const [at, setAt] = useState(0);

  useAsync(
    async (signal) => {
      setError(null);
      try {
        const found = await sourceOf(query, signal);
        setAt(0);
        setStep(found);
      } catch (problem) {
        if (!signal.aborted) setError(problem);
      }
    },
    [address],
  );
  useAsync(
    async (signal) => {
      if (!step) return;
      if (seen) await pause(TYPING_MS, signal);
      try {
        const asked = signal.aborted ? null : await traced(step, signal);
        if (asked) setSeen(asked);
        setError(null);
      } catch (problem) {
        if (!signal.aborted) setError(problem);
      }
    },
    [step],
  );
  return html`
    <${Heading} title="Step by step" />
    <p class="lead">
      One training step of a network on one sample, written out: every net input, output, factor of the
      chain rule, delta, gradient and new weight.
    </p>
    <${Chooser} query=${query} take=${setStep} fail=${setError} />
    <${Fault} error=${error} />
    ${seen && html`<${Shown} seen=${seen} step=${step} change=${setStep} at=${at} setAt=${setAt} />`}
  `;
}

async function traced(step, signal) {
  const ask = (update_order) => post("/v1/trace", { ...step, update_order }, { signal });
  const other = step.update_order === "simultaneous" ? "layerwise" : "simultaneous";
  const [trace, twin, catalog] = await Promise.all([
    ask(step.update_order),
    ask(other),
    constant("/v1/catalog"),
  ]);
  return { step, trace, twin, catalog: catalog.parts };
}

/** Whether the numbers are still those of the article, whatever the order of updates. */
function isMazurs(step) {
  const plain = (each) => JSON.stringify([valuesOf(each.network), each.inputs, each.targets, each.loss]);
  return (
    step.network.layers.length === 2 &&
    step.network.name === MAZUR.network.name &&
    step.learning_rate === MAZUR.learning_rate &&
    plain(step) === plain(MAZUR)
  );
}

function Shown({ seen, step, change, at, setAt }) {
  const { trace, twin, catalog } = seen;
  const derivation = useMemo(() => new Derivation(trace, seen.step.network, catalog), [seen]);
  const shape = useMemo(() => shapeOf(seen.step.network), [seen]);
  const here = Math.min(at, derivation.lines.length - 1);
  const line = derivation.lines[here];
  const { direct, all } = derivation.origins(line);
  const [lit, soft] = [litBy(direct), litBy(all)];
  const weights = line.phase === "update" ? updated(derivation.values) : derivation.values;
  const under = (id) => {
    const x = derivation.values[`out_${id}`];
    return x === undefined ? "" : short(x, 4);
  };
  const byOrder = { [trace.update_order]: trace, [twin.update_order]: twin };
  const mazurs = isMazurs(seen.step);
  return html`
    <div class="step">
      <section class="picture" aria-label="The network">
        <${Drawing}
          shape=${shape}
          values=${weights}
          under=${under}
          lit=${lit}
          soft=${soft}
          label=${`The network; lit is what ${line.symbol} is made of`}
        />
        <p class="legend">
          <span class="key positive">positive</span>
          <span class="key negative">negative</span>
          <span>error ${printed(trace.error_before)} → ${printed(trace.error_after)}</span>
        </p>
      </section>
      <${Walk} derivation=${derivation} at=${here} go=${setAt} />
    </div>
    <${Numbers} step=${step} change=${change} picked=${direct} catalog=${catalog} />
    ${!mazurs &&
    seen.step.network.name === MAZUR.network.name &&
    html`<p><button type="button" onClick=${() => change(MAZUR)}>Back to Mazur's numbers</button></p>`}
    ${mazurs &&
    html`<${Article}
      simultaneous=${byOrder.simultaneous.values}
      layerwise=${byOrder.layerwise.values}
    />`}
    <${Sheet} derivation=${derivation} at=${here} go=${setAt} />
  `;
}

/** The units and weights that these symbols speak of. */
function litBy(symbols) {
  const lit = new Set();
  for (const each of symbols) {
    for (const [, unit] of each.matchAll(/_([iho]\d+(?:_\d+)?)(?=_d|\+?$)/g)) lit.add(unit);
    for (const [weight] of each.matchAll(/w\d+/g)) lit.add(weight);
  }
  return lit;
}

function updated(values) {
  const after = Object.entries(values).filter(([symbol]) => /^w\d+\+$/.test(symbol));
  return { ...values, ...Object.fromEntries(after.map(([symbol, x]) => [symbol.slice(0, -1), number(x)])) };
}
