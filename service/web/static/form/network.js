// The network's part of the form: its layers, drawn as they are typed.
import { Drawing } from "../drawing.js";
import { html } from "../elements.js";
import { count } from "../format.js";
import { shapeOf } from "../shape.js";
import { Fields } from "./fields.js";
import { deref } from "./schema.js";

const MOST_DRAWN = 3000; // connections

export function NetworkForm({ value, change, pointer, context, verdict }) {
  const schema = context.document.components.schemas.NetworkSpec;
  const layer = deref(schema.properties.layers.items, context.document);
  const layers = value.layers ?? [];
  const set = (k) => (next) =>
    change({ ...value, layers: layers.map((each, i) => (i === k ? next : each)) });
  const add = () => {
    const like = layers.at(-2) ?? { units: 4, activation: "tanh" };
    change({ ...value, layers: [...layers.slice(0, -1), { units: like.units, activation: like.activation }, ...layers.slice(-1)] });
  };
  const remove = (k) => change({ ...value, layers: layers.filter((_, i) => i !== k) });
  return html`<div class="network-form">
    <div>
      <div class="fields">
        <${Fields} schema=${schema} only=${["name", "inputs"]} ...${{ value, change, pointer, context }} />
      </div>
      ${layers.map(
        (each, k) => html`<fieldset class="layer" key=${k}>
          <legend>${k === layers.length - 1 ? "Output layer" : `Hidden layer ${k + 1}`}</legend>
          <div class="fields">
            <${Fields}
              schema=${layer}
              only=${["units", "activation"]}
              value=${each}
              change=${set(k)}
              pointer=${`${pointer}/layers/${k}`}
              context=${context}
            />
            ${layers.length > 1 &&
            html`<button type="button" aria-label=${`Remove layer ${k + 1}`} onClick=${() => remove(k)}>Remove</button>`}
          </div>
          <details>
            <summary>More of this layer</summary>
            <div class="fields">
              <${Fields}
                schema=${layer}
                except=${["units", "activation"]}
                value=${each}
                change=${set(k)}
                pointer=${`${pointer}/layers/${k}`}
                context=${context}
              />
            </div>
          </details>
        </fieldset>`,
      )}
      <button type="button" onClick=${add}>Add a layer</button>
    </div>
    <div class="preview">
      <${Preview} network=${value} />
      ${verdict && html`<p class="hint">${count(verdict.parameter_count)} weights and biases</p>`}
    </div>
  </div>`;
}

/** The network as far as it can be drawn from what is typed. */
function Preview({ network }) {
  const whole = (x) => Number.isInteger(x) && x > 0;
  const sizes = [network.inputs, ...(network.layers ?? []).map(({ units }) => units)];
  if (!sizes.every(whole)) return html`<p class="hint">It is drawn when every size is a number.</p>`;
  const connections = sizes.slice(1).reduce((sum, n, k) => sum + n * sizes[k], 0);
  const given = connections <= MOST_DRAWN ? network : thumbnail(network);
  let shape;
  try {
    shape = shapeOf(given);
  } catch {
    return null; // a mask or ties half typed
  }
  const label = `A network of ${sizes[0]} inputs and layers of ${sizes.slice(1).join(", ")} units`;
  return html`<${Drawing} shape=${shape} label=${label} compact />
    <p class="hint">${sizes.map(count).join(" → ")}</p>`;
}

const FEW = 15;

/** A large network's outline: what is left out of a layer is not drawn anyway. */
function thumbnail(network) {
  const few = (n) => Math.min(n, FEW);
  return {
    inputs: few(network.inputs),
    layers: network.layers.map(({ units }) => ({ units: few(units) })),
  };
}
