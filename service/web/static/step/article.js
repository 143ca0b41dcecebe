// Mazur's printed numbers beside ours, and why two of them come from another order of updates.
import { html } from "../elements.js";
import { number, printed } from "../format.js";
import { PRINTED } from "./mazur.js";
import { symbol } from "./typeset.js";

const digitsOf = (text) => text.split(".")[1].length;

function agrees(text, x) {
  return Number(x).toFixed(digitsOf(text)) === Number(text.replace("−", "-")).toFixed(digitsOf(text));
}

export function Article({ simultaneous, layerwise }) {
  const rows = Object.entries(PRINTED);
  return html`<section class="article">
    <h2>His numbers and ours</h2>
    <p>
      The${" "}<a href="https://mattmazur.com/2015/03/17/a-step-by-step-backpropagation-example/"
        rel="noreferrer">article</a>${" "}
      says that every gradient is taken from the old weights, and all but one of the numbers it prints
      for this step come out so, to the last digit. The error after the update does not: the
      0.291027924 it prints is what remains when the output layer's weights are moved first, and the
      hidden layer's deltas are taken through those moved weights. As the text tells it, the error
      would be ${printed(simultaneous["E_total+"])}. Choose the update order above to see either one
      derived.
    </p>
    <div class="scroll" tabindex="0" role="region" aria-label="Numbers of the article">
      <table>
        <thead>
          <tr>
            <th scope="col">symbol</th>
            <th scope="col" class="right">the article</th>
            <th scope="col" class="right">all at once, as told</th>
            <th scope="col" class="right">output layer first</th>
          </tr>
        </thead>
        <tbody>
          ${rows.map(
            ([name, text]) => html`<tr>
              <th scope="row"><math displaystyle="true">${symbol(name)}</math></th>
              <td class="right">${text}</td>
              ${[simultaneous, layerwise].map((values) => {
                const x = number(values[name]);
                const same = agrees(text, x);
                return html`<td class=${`right ${same ? "same" : "other"}`}>
                  ${printed(x)}${" "}<span aria-label=${same ? "agrees" : "differs"}>${same ? "✓" : "≠"}</span>
                </td>`;
              })}
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}
