// Which classes are taken for which, and each class's figures.
import { get } from "../api.js";
import { html, useAsync, useState } from "../elements.js";
import { count, short } from "../format.js";

export function Classes({ job }) {
  const [split, setSplit] = useState("training");
  const [found, setFound] = useState(null);
  const classified = "accuracy" in job.metrics; // measured by default where there are classes
  useAsync(
    async (signal) => {
      if (!classified || job.status !== "succeeded") return;
      setFound(await get(`/v1/jobs/${job.id}/confusion?split=${split}`, { signal }));
    },
    [job.id, job.status, split],
    () => setFound(null),
  );
  if (!found) return null;
  return html`<section>
    <div class="row spread">
      <h2>Classes</h2>
      ${job.training.validation &&
      html`<label class="row">
        <span class="quiet">rows</span>
        <select value=${split} onChange=${(event) => setSplit(event.target.value)}>
          <option value="training">learned from</option>
          <option value="validation">held back</option>
        </select>
      </label>`}
    </div>
    <p class="hint">Accuracy ${short(found.accuracy)} with the weights of epoch ${count(found.epoch)}.</p>
    <div class="classes">
      <${Matrix} ...${found} />
      <${PerClass} ...${found} />
    </div>
  </section>`;
}

const SHADES = 10;

function Matrix({ classes, matrix }) {
  const most = Math.max(...matrix.flat(), 1);
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix">
    <table class="confusion">
      <caption>rows are the truth, columns what the network says</caption>
      <thead>
        <tr>
          <td></td>
          ${classes.map((each) => html`<th scope="col">${each}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${matrix.map(
          (row, i) => html`<tr>
            <th scope="row">${classes[i]}</th>
            ${row.map((n, j) => {
              const shade = Math.ceil((n / most) * SHADES);
              return html`<td class=${`right ${i === j ? "right-one" : "wrong-one"} shade-${shade}`}>${count(n)}</td>`;
            })}
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function PerClass({ per_class: figures }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Figures of each class">
    <table>
      <thead>
        <tr>
          <th scope="col">class</th>
          ${["precision", "recall", "F1", "rows"].map((each) => html`<th scope="col" class="right">${each}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${Object.entries(figures).map(
          ([name, each]) => html`<tr>
            <th scope="row">${name}</th>
            <td class="right">${short(each.precision)}</td>
            <td class="right">${short(each.recall)}</td>
            <td class="right">${short(each.f1)}</td>
            <td class="right">${count(each.support)}</td>
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
