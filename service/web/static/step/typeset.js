// From a formula's tree to MathML, with the number under each symbol.
import { html } from "../elements.js";
import { printed } from "../format.js";

const SLOPE = /^d(E_\w+|out_\w+|net_\w+?)_d(w\d+|b\d+(?:_\w+)?|out_\w+|net_\w+)$/;
const LOOSE = { "+": 1, "-": 1, "*": 2, "/": 2, sum: 1 };

/** A symbol of the worked example, as the texts write it. */
export function symbol(text) {
  const after = text.endsWith("+");
  const plain = after ? text.slice(0, -1) : text;
  const slope = SLOPE.exec(plain);
  if (slope) {
    return html`<mfrac>
      <mrow><mo>∂</mo>${symbol(slope[1])}</mrow>
      <mrow><mo>∂</mo>${symbol(slope[2])}</mrow>
    </mfrac>`;
  }
  const [base, index] = parts(plain);
  const letter = html`<mi>${base}</mi>`;
  if (!index) return after ? html`<msup>${letter}<mo>+</mo></msup>` : letter;
  const sub = html`<mtext>${index}</mtext>`;
  return after
    ? html`<msubsup>${letter}${sub}<mo>+</mo></msubsup>`
    : html`<msub>${letter}${sub}</msub>`;
}

function parts(text) {
  if (text === "learning_rate") return ["η", ""];
  const input = /^out_i(\d+)$/.exec(text);
  if (input) return ["i", input[1]];
  const numbered = /^([wb])(\d+)(?:_(\w+))?$/.exec(text);
  if (numbered) return [numbered[1], [numbered[2], numbered[3]].filter(Boolean).join(", ")];
  const [base, ...rest] = text.split("_");
  return [{ delta: "δ" }[base] ?? base, rest.join("_").replace("_", ",")];
}

/** The symbol as a person says it, for a screen reader and a title. */
export function spoken(text) {
  const after = text.endsWith("+") ? " after the update" : "";
  const plain = text.replace(/\+$/, "");
  const slope = SLOPE.exec(plain);
  if (slope) return `d ${spoken(slope[1])} by d ${spoken(slope[2])}${after}`;
  return plain.replaceAll("_", " ") + after;
}

/** The tree; where `values` knows a name, its number stands below. */
export function typeset(tree, values = {}) {
  const inner = (each, tightness = 0) => wrapped(each, tightness, values);
  switch (tree.kind) {
    case "number":
      return html`<mn>${printed(tree.value)}</mn>`;
    case "name":
      return below(tree.name, values);
    case "+":
      return html`<mrow>${tree.terms.map((term, k) => added(term, k, values))}</mrow>`;
    case "-":
      return html`<mrow><mo form="prefix">−</mo>${inner(tree.of, 2)}</mrow>`;
    case "*":
      return html`<mrow>${tree.factors.map(
        (factor, k) => html`${k > 0 && html`<mo>·</mo>`}${inner(factor, 2)}`,
      )}</mrow>`;
    case "/":
      return html`<mfrac>${row(inner(tree.over))}${row(inner(tree.under))}</mfrac>`;
    case "^":
      return html`<msup>${row(inner(tree.base, 3))}${row(inner(tree.power))}</msup>`;
    case "abs":
      return html`<mrow><mo>|</mo>${inner(tree.of)}<mo>|</mo></mrow>`;
    case "sum":
      return html`<mrow><munder><mo>∑</mo><mi>${tree.index}</mi></munder>${inner(tree.of, 2)}</mrow>`;
    default:
      return called(tree, values);
  }
}

const row = (content) => html`<mrow>${content}</mrow>`;

function called({ name, of }, values) {
  if (name === "exp") return html`<msup><mi>e</mi>${row(typeset(of[0], values))}</msup>`;
  if (name === "sqrt") return html`<msqrt>${typeset(of[0], values)}</msqrt>`;
  return html`<mrow><mi>${name}</mi><mo>(</mo>${of.map(
    (each, k) => html`${k > 0 && html`<mo>,</mo>`}${typeset(each, values)}`,
  )}<mo>)</mo></mrow>`;
}

function added(term, k, values) {
  if (term.kind !== "-") return html`${k > 0 && html`<mo>+</mo>`}${typeset(term, values)}`;
  const sign = k > 0 ? html`<mo>−</mo>` : html`<mo form="prefix">−</mo>`;
  return html`${sign}${wrapped(term.of, 2, values)}`;
}

function wrapped(tree, tightness, values) {
  const negative = tree.kind === "number" && tree.value < 0 && tightness > 0;
  const content = typeset(tree, values);
  if (!negative && (LOOSE[tree.kind] ?? 9) >= tightness) return content;
  return html`<mrow><mo>(</mo>${content}<mo>)</mo></mrow>`;
}

function below(text, values) {
  const x = values[text];
  if (x === undefined) return symbol(text);
  return html`<munder class="known">
    <mrow>${symbol(text)}</mrow>
    <mrow class="number"><mn>${printed(x)}</mn></mrow>
  </munder>`;
}

/** A line of a derivation, as a block. */
export function Formula({ children, label }) {
  return html`<math display="block" aria-label=${label}>${children}</math>`;
}
