// The numbers that a person may change: inputs, targets, weights, the rate.
import { html, useEffect, useState } from "../elements.js";
import { changed, shapeOf, valuesOf } from "../shape.js";

const MOST_FIELDS = 120; // weights that are all shown; else those of the line alone

export function Numbers({ step, change, picked, catalog }) {
  const shape = shapeOf(step.network);
  const values = valuesOf(step.network);
  const symbols = [...new Set([...shape.edges, ...shape.biases].map(({ symbol }) => symbol))];
  const shown =
    symbols.length <= MOST_FIELDS ? symbols : symbols.filter((each) => picked.has(each)).slice(0, 24);
  const set = (list, k) => (x) =>
    change({ ...step, [list]: step[list].map((each, i) => (i === k ? x : each)) });
  const losses = catalog.loss.map(({ name }) => name);
  const loss = typeof step.loss === "string" ? step.loss : step.loss.name;
  return html`<section class="numbers">
    <h2>Change a number</h2>
    <div class="fields">
      ${step.inputs.map((x, k) => field(`i${k + 1}`, x, set("inputs", k)))}
      ${step.targets.map((x, k) => field(`target o${k + 1}`, x, set("targets", k)))}
      ${field("learning rate η", step.learning_rate, (x) => x > 0 && change({ ...step, learning_rate: x }))}
      <label class="field">
        <span>loss</span>
        <select
          value=${loss}
          onChange=${(event) => change({ ...step, loss: event.target.value })}
        >
          ${losses.map((name) => html`<option value=${name}>${name.replaceAll("_", " ")}</option>`)}
        </select>
      </label>
      <label class="field">
        <span>update order</span>
        <select
          value=${step.update_order}
          onChange=${(event) => change({ ...step, update_order: event.target.value })}
        >
          <option>simultaneous</option>
          <option>layerwise</option>
        </select>
      </label>
    </div>
    <h3>Weights and biases</h3>
    ${symbols.length > MOST_FIELDS &&
    html`<p class="hint">${symbols.length} of them: here are those of the line that is shown.</p>`}
    <div class="fields">
      ${shown.map((symbol) =>
        field(
          symbol.replace("_", " "),
          values[symbol],
          (x) => change({ ...step, network: changed(step.network, symbol, x) }),
          picked.has(symbol),
        ),
      )}
    </div>
  </section>`;
}

function field(label, x, change, marked) {
  return html`<${Field} key=${label} label=${label} x=${x} change=${change} marked=${marked} />`;
}

/** A number that is taken as soon as it is one. */
function Field({ label, x, change, marked }) {
  const [text, setText] = useState(String(x));
  useEffect(() => {
    if (Number(text) !== x) setText(String(x));
  }, [x]);
  const typed = (event) => {
    setText(event.target.value);
    const asked = event.target.value.trim() === "" ? NaN : Number(event.target.value);
    if (Number.isFinite(asked)) change(asked);
  };
  return html`<label class=${marked ? "field marked" : "field"}>
    <span>${label}</span>
    <input type="number" step="any" value=${text} onInput=${typed} />
  </label>`;
}
