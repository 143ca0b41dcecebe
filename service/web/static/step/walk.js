// The walk: one line of the derivation at a time, with the way back and forth.
import { html, useEffect } from "../elements.js";
import { printed } from "../format.js";
import { Formula, spoken, symbol, typeset } from "./typeset.js";

const PHASES = [
  ["forward", "Forward", "From the inputs to the outputs: each unit adds up what it is sent."],
  ["error", "Error", "How far the outputs are from the targets."],
  ["backward", "Backward", "From the error back to every weight, by the chain rule."],
  ["update", "Update", "Every weight moves against its gradient."],
];

export function Walk({ derivation, at, go }) {
  const { lines } = derivation;
  const step = lines[at];
  useArrows(at, lines.length, go);
  return html`<section class="walk" aria-label="The walk">
    <div class="phases" role="group" aria-label="Phases">
      ${PHASES.map(([phase, title]) => {
        const first = lines.findIndex((line) => line.phase === phase);
        return html`<button
          type="button"
          aria-pressed=${step.phase === phase}
          onClick=${() => go(first)}
        >
          ${title}
        </button>`;
      })}
    </div>
    <p class="hint">${PHASES.find(([phase]) => phase === step.phase)[2]}</p>
    <div class="card" aria-live="polite">
      <p class="meaning">${title(step)}</p>
      <${Line} derivation=${derivation} step=${step} />
    </div>
    <div class="steps">
      <button type="button" disabled=${at === 0} onClick=${() => go(at - 1)}>← Previous</button>
      <label class="where">
        <span class="visually-hidden">Line of the walk</span>
        <input
          type="range"
          min="0"
          max=${lines.length - 1}
          value=${at}
          onInput=${(event) => go(Number(event.target.value))}
        />
        <span class="count">${at + 1} of ${lines.length}</span>
      </label>
      <button
        type="button"
        class="main"
        disabled=${at === lines.length - 1}
        onClick=${() => go(at + 1)}
      >
        Next →
      </button>
    </div>
  </section>`;
}

function title({ meaning, unit, symbol: text }) {
  const capital = meaning[0].toUpperCase() + meaning.slice(1);
  const weight = /^(?:dE_total_d)?([wb]\d+(?:_\w+)?)\+?$/.exec(text);
  if (weight) return `${capital}: ${weight[1].replace("_", " of ")}`;
  return unit && !meaning.includes(` ${unit} `) ? `${capital}, unit ${unit.replace("_", ",")}` : capital;
}

/** The symbol, what it is, and its number, as a textbook would set it. */
function Line({ derivation, step }) {
  const { trees, words } = derivation.rewritings(step);
  const result = html`<mo>=</mo><mn class="result">${printed(step.value)}</mn>`;
  const label = `${spoken(step.symbol)} equals ${printed(step.value)}`;
  if (!trees.length) {
    return html`<${Formula} label=${label}>
        <mrow><mrow class="subject">${symbol(step.symbol)}</mrow>${result}</mrow>
      <//>
      <p class="words">${words}</p>`;
  }
  return trees.map((tree, k) => {
    const last = k === trees.length - 1;
    return html`<${Formula} label=${last ? label : spoken(step.symbol)}>
      <mrow>
        <mrow class=${k ? "again" : "subject"}>${symbol(step.symbol)}</mrow>
        <mo>=</mo>
        ${typeset(tree, derivation.values)}
        ${last && result}
      </mrow>
    <//>`;
  });
}

/** Left and right walk, where no field has the keys for itself. */
function useArrows(at, length, go) {
  useEffect(() => {
    const pressed = (event) => {
      if (event.target.closest?.("input, select, textarea, [role=slider]")) return;
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      if (event.key === "ArrowRight" && at < length - 1) go(at + 1);
      if (event.key === "ArrowLeft" && at > 0) go(at - 1);
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [at, length]);
}

const MOST_LINES = 300; // of a phase, around the one that is shown

/** The whole step on one sheet, phase by phase. */
export function Sheet({ derivation, at, go }) {
  const here = derivation.lines[at];
  return html`<section class="sheet">
    <h2>The whole step</h2>
    ${PHASES.map(([phase, title]) => {
      const all = derivation.lines.map((line, k) => [line, k]).filter(([each]) => each.phase === phase);
      const middle = all.findIndex(([each]) => each === here);
      const first = Math.max(0, Math.min(middle - MOST_LINES / 2, all.length - MOST_LINES));
      const shown = all.slice(first, first + MOST_LINES);
      return html`<details open=${all.length <= 60 || middle >= 0}>
        <summary>${title} <span class="quiet">${all.length} lines</span></summary>
        <ol class="lines">
          ${shown.map(
            ([line, k]) => html`<li key=${line.symbol}>
              <button
                type="button"
                aria-current=${k === at ? "step" : null}
                aria-label=${`${spoken(line.symbol)} equals ${printed(line.value)}`}
                onClick=${() => go(k)}
              >
                <math displaystyle="true">${symbol(line.symbol)}</math>
                <span class="value">${printed(line.value)}</span>
              </button>
            </li>`,
          )}
        </ol>
      </details>`;
    })}
  </section>`;
}
