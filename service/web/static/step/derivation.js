// What stands between a symbol and its number: the lines that a textbook would write.
//
// The service says each line in symbols that hold for any unit ("1 / (1 + exp(-slope * z))"). Here
// they are put in terms of this unit; a rewriting is shown only where it comes to the number that
// the service has computed, and else the service's own words are.
import { number } from "../format.js";
import { derivative, gathered, name, read, reckoned, replaced, tidy, value } from "./formula.js";

const MOST_TERMS = 4; // of a sum that is written out

/** A trace with what is needed to explain it. */
export class Derivation {
  constructor(trace, network, catalog) {
    this.trace = trace;
    this.steps = trace.steps;
    this.values = Object.fromEntries(
      Object.entries(trace.values).map(([key, each]) => [key, number(each)]),
    );
    this.values.learning_rate = trace.learning_rate;
    this.step = new Map(this.steps.map((step) => [step.symbol, step]));
    this.layers = new Map(network.layers.map((layer) => [layer.name, layer]));
    this.catalog = catalog;
    this.lines = this.steps.filter((step) => !isGiven(step) && !step.symbol.startsWith("dnet_"));
    this.units = new Map();
    for (const { layer, unit, symbol } of this.steps)
      if (symbol === `out_${unit}`) this.units.set(layer, [...(this.units.get(layer) ?? []), unit]);
  }

  /** Trees to be shown one under the other, each equal to the symbol; or the service's words. */
  rewritings(step) {
    const found = this.trees(step)
      .map((tree) => tree && tidy(tree))
      .filter((tree) => tree && near(reckoned(tree, this.values), number(step.value)));
    return found.length ? { trees: found } : { trees: [], words: step.formula };
  }

  trees(step) {
    try {
      if (step.symbol.startsWith("out_")) return [this.output(step)];
      if (/^dout_/.test(step.symbol)) return [this.slope(step)];
      if (/^E_(?!total)/.test(step.symbol)) return [this.error(step)];
      if (step.formula.startsWith("d/dout_")) return [this.errorSlope(step)];
      return this.product(step);
    } catch {
      return [];
    }
  }

  product(step) {
    const tree = read(step.formula.split(", ")[0]);
    if (!tree) return [];
    const factors = replaced(tree, ({ name: text }) => {
      const delta = text?.startsWith("delta_") && read(this.step.get(text).formula);
      return delta && delta.kind === "*" ? delta : undefined;
    });
    const inner = replaced(tree, ({ name: text }) =>
      text?.startsWith("dnet_") ? read(this.step.get(text).formula) : undefined,
    );
    const wide = step.symbol.startsWith("dE_total_dw");
    return wide && tree.kind === "*" ? [flat(factors), flat(inner)] : [tree];
  }

  settings(kind, chosen) {
    const part = typeof chosen === "string" ? { name: chosen } : chosen;
    const known = this.catalog[kind].find((each) => each.name === part.name);
    return { ...known.defaults, ...part, formula: known.formula, derivative: known.derivative };
  }

  output(step) {
    const { formula, ...settings } = this.settings("activation", this.layers.get(step.layer).activation);
    return this.ofUnit(read(this.branch(formula, step)), step, settings);
  }

  slope(step) {
    const [, by] = /^dout_(\w+?)_dnet_/.exec(step.symbol);
    const layer = this.layers.get(step.layer);
    const { derivative: formula, ...settings } = this.settings("activation", layer.activation);
    const [, diagonal, beside] = /^(.+) on the diagonal, (.+) beside it$/.exec(formula) ?? [];
    if (by !== step.unit)
      return replaced(this.ofUnit(read(beside), step, settings), ({ name: text }) =>
        text === "y_k" ? name(`out_${by}`) : undefined,
      );
    return this.ofUnit(read(diagonal ?? this.branch(formula, step)), step, settings);
  }

  /** Of a formula in two pieces, the one that holds at this unit's net input. */
  branch(formula, step) {
    const pieces = /^(.+) where z (>=?) 0, else (.+)$/.exec(formula);
    if (!pieces) return formula;
    const z = this.values[`net_${step.unit}`];
    return (pieces[2] === ">" ? z > 0 : z >= 0) ? pieces[1] : pieces[3];
  }

  error(step) {
    const { formula, ...settings } = this.settings("loss", this.trace.loss);
    const tree = replaced(read(formula.split(", ")[0]), (each) =>
      each.kind === "sum" ? each.of : undefined,
    );
    return this.ofUnit(tree, step, settings);
  }

  errorSlope(step) {
    const error = tidy(this.error(step));
    return gathered(derivative(error, `out_${step.unit}`));
  }

  /** The formula of any unit j, said of this one. */
  ofUnit(tree, step, settings) {
    const units = this.units.get(step.layer);
    const say = (unit) => ({ z: `net_${unit}`, y: `out_${unit}`, t: `target_${unit}` });
    const own = say(step.unit);
    const change = (each) => {
      if (each.kind === "sum") return written(each, units, say);
      const [base, index] = each.name.split("_");
      if (own[base] && (!index || index === "j")) return name(own[base]);
      if (each.name === "O") return value(units.length);
      const setting = settings[each.name];
      return typeof setting === "number" ? value(setting) : undefined;
    };
    return replaced(tree, change);
  }

  /** Everything that this line was made from, and what that was made from, within its phase. */
  origins(step) {
    const direct = new Set([step.symbol, ...names(step.formula)]);
    const all = new Set(direct);
    const waiting = [...direct];
    while (waiting.length) {
      const origin = this.step.get(waiting.pop());
      if (origin?.phase !== step.phase || step.phase === "update") continue;
      for (const each of names(origin.formula))
        if (!all.has(each)) {
          all.add(each);
          waiting.push(each);
        }
    }
    return { direct, all };
  }
}

function written(sum, units, say) {
  if (units.length > MOST_TERMS) return undefined;
  const terms = units.map((unit) =>
    replaced(sum.of, (each) => {
      const [base, index] = each.name?.split("_") ?? [];
      return index === sum.index && say(unit)[base] ? name(say(unit)[base]) : undefined;
    }),
  );
  return terms.length === 1 ? terms[0] : { kind: "+", terms };
}

function flat(tree) {
  if (tree.kind !== "*") return tree;
  return { kind: "*", factors: tree.factors.flatMap((f) => (f.kind === "*" ? f.factors : [f])) };
}

function near(a, b) {
  return Math.abs(a - b) <= 1e-9 * Math.max(Math.abs(a), Math.abs(b)) + 1e-15;
}

/** Symbols that a formula names. */
export function names(formula) {
  return formula.match(/\b(?:dE|dout|dnet|delta|out|net|target|E|[wb]\d)\w*\+?/g) ?? [];
}

/** Numbers that come from outside: weights, biases, inputs and targets. */
export function isGiven(step) {
  if (step.phase === "error") return step.formula === "given";
  return step.phase === "forward" && (step.formula === step.symbol || step.layer === "inputs");
}
