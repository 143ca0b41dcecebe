// Formulas as the service writes them: read, reckoned, differentiated, and put in other words.
//
// A tree is one of
//   {kind: "number", value} {kind: "name", name} {kind: "call", name, of: [tree]}
//   {kind: "+", terms: [tree]} {kind: "*", factors: [tree]} {kind: "/", over, under}
//   {kind: "^", base, power} {kind: "-", of} {kind: "abs", of} {kind: "sum", index, of}

export const value = (x) => ({ kind: "number", value: x });
export const name = (text) => ({ kind: "name", name: text });
const call = (text, ...of) => ({ kind: "call", name: text, of });
const product = (...factors) => ({ kind: "*", factors });
const plus = (...terms) => ({ kind: "+", terms });
const minus = (of) => ({ kind: "-", of });
const over = (a, b) => ({ kind: "/", over: a, under: b });
const power = (base, exponent) => ({ kind: "^", base, power: exponent });

// A plus that touches a name marks a value after the update; as a sign it stands between spaces.
const TOKEN = /\s*(?:(\d+(?:\.\d+)?(?:e[+-]?\d+)?)|([A-Za-z]\w*(?:\+(?=\s|$|\)))?)|([-+*/^(),|]))/y;
const FUNCTIONS = new Set(["exp", "log", "tanh", "cosh", "sqrt", "max", "min", "sin", "cos"]);

/** The tree of a formula; null where it is none that can be read. */
export function read(text) {
  try {
    const parser = new Parser(text);
    const tree = parser.sum();
    return parser.done() ? tree : null;
  } catch {
    return null;
  }
}

class Parser {
  constructor(text) {
    this.tokens = [];
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < text.trimEnd().length) {
      const found = TOKEN.exec(text);
      if (!found) throw new SyntaxError(text);
      const [, digits, word, sign] = found;
      this.tokens.push(digits ? value(Number(digits)) : word ? name(word) : sign);
    }
    this.place = 0;
  }

  done() {
    return this.place === this.tokens.length;
  }

  next(sign) {
    if (this.tokens[this.place] !== sign) return false;
    this.place += 1;
    return true;
  }

  expect(sign) {
    if (!this.next(sign)) throw new SyntaxError(sign);
  }

  sum() {
    const terms = [this.product()];
    for (;;) {
      if (this.next("+")) terms.push(this.product());
      else if (this.next("-")) terms.push(minus(this.product()));
      else return terms.length === 1 ? terms[0] : plus(...terms);
    }
  }

  product() {
    let tree = this.signed();
    for (;;) {
      if (this.next("*")) tree = times(tree, this.signed());
      else if (this.next("/")) tree = over(tree, this.signed());
      else if (this.startsFactor()) tree = times(tree, this.power());
      else return tree;
    }
  }

  startsFactor() {
    const token = this.tokens[this.place];
    return typeof token === "object" || token === "(";
  }

  signed() {
    return this.next("-") ? minus(this.signed()) : this.power();
  }

  power() {
    const base = this.atom();
    return this.next("^") ? power(base, this.signed()) : base;
  }

  atom() {
    const token = this.tokens[this.place];
    this.place += 1;
    if (token === "(") return this.closed(")");
    if (token === "|") return { kind: "abs", of: this.closed("|") };
    if (typeof token !== "object") throw new SyntaxError(String(token));
    if (token.kind === "number") return token;
    const summed = /^sum_([jk])$/.exec(token.name);
    if (summed) return { kind: "sum", index: summed[1], of: this.sum() };
    if (!FUNCTIONS.has(token.name)) return token;
    if (!this.next("(")) return call(token.name, this.power());
    const of = [this.sum()];
    while (this.next(",")) of.push(this.sum());
    this.expect(")");
    return call(token.name, ...of);
  }

  closed(sign) {
    const tree = this.sum();
    this.expect(sign);
    return tree;
  }
}

function times(a, b) {
  return product(...(a.kind === "*" ? a.factors : [a]), ...(b.kind === "*" ? b.factors : [b]));
}

/** The tree with `change` applied to each name and each sum; what it leaves undefined stays. */
export function replaced(tree, change) {
  const again = (each) => replaced(each, change);
  switch (tree.kind) {
    case "number":
      return tree;
    case "name":
      return change(tree) ?? tree;
    case "call":
      return { ...tree, of: tree.of.map(again) };
    case "+":
      return plus(...tree.terms.map(again));
    case "*":
      return product(...tree.factors.map(again));
    case "/":
      return over(again(tree.over), again(tree.under));
    case "^":
      return power(again(tree.base), again(tree.power));
    case "sum":
      return change(tree) ?? { ...tree, of: again(tree.of) };
    default:
      return { ...tree, of: again(tree.of) };
  }
}

const REAL = {
  exp: Math.exp,
  log: Math.log,
  tanh: Math.tanh,
  cosh: Math.cosh,
  sqrt: Math.sqrt,
  max: Math.max,
  min: Math.min,
  sin: Math.sin,
  cos: Math.cos,
};

/** What the tree comes to, with these values of its names; NaN where one is missing. */
export function reckoned(tree, values) {
  const of = (each) => reckoned(each, values);
  switch (tree.kind) {
    case "number":
      return tree.value;
    case "name":
      return values[tree.name] ?? NaN;
    case "call":
      return REAL[tree.name](...tree.of.map(of));
    case "+":
      return tree.terms.map(of).reduce((a, b) => a + b, 0);
    case "*":
      return tree.factors.map(of).reduce((a, b) => a * b, 1);
    case "/":
      return of(tree.over) / of(tree.under);
    case "^":
      return of(tree.base) ** of(tree.power);
    case "-":
      return -of(tree.of);
    case "abs":
      return Math.abs(of(tree.of));
    default:
      return NaN; // a sum that nobody has written out
  }
}

const is = (tree, x) => tree.kind === "number" && tree.value === x;

/** Without factors of one and terms of zero, which settings at their defaults leave behind. */
export function tidy(tree) {
  switch (tree.kind) {
    case "call":
      return { ...tree, of: tree.of.map(tidy) };
    case "+": {
      const terms = tree.terms.map(tidy).filter((each) => !is(each, 0));
      return terms.length > 1 ? plus(...terms) : (terms[0] ?? value(0));
    }
    case "*": {
      const factors = tree.factors.map(tidy).filter((each) => !is(each, 1));
      if (factors.some((each) => is(each, 0))) return value(0);
      const sign = factors.findIndex((each) => is(each, -1));
      if (sign >= 0 && factors.length > 1)
        return tidy(minus(product(...factors.filter((_, k) => k !== sign))));
      return factors.length > 1 ? product(...factors) : (factors[0] ?? value(1));
    }
    case "/": {
      const [a, b] = [tidy(tree.over), tidy(tree.under)];
      return is(b, 1) || is(a, 0) ? a : over(a, b);
    }
    case "^": {
      const [base, exponent] = [tidy(tree.base), tidy(tree.power)];
      return is(exponent, 1) ? base : power(base, exponent);
    }
    case "-": {
      const of = tidy(tree.of);
      if (of.kind === "-") return of.of;
      return of.kind === "number" ? value(-of.value) : minus(of);
    }
    case "abs":
    case "sum":
      return { ...tree, of: tidy(tree.of) };
    default:
      return tree;
  }
}

function depends(tree, on) {
  let found = false;
  replaced(tree, (each) => {
    found ||= each.name === on;
  });
  return found;
}

/** d tree / d name, by the rules of calculus; raises where a rule is not known. */
export function derivative(tree, by) {
  if (!depends(tree, by)) return value(0);
  const d = (each) => derivative(each, by);
  switch (tree.kind) {
    case "name":
      return value(1);
    case "+":
      return plus(...tree.terms.map(d));
    case "-":
      return minus(d(tree.of));
    case "*":
      return plus(
        ...tree.factors.map((factor, k) =>
          product(...tree.factors.map((each, i) => (i === k ? d(factor) : each))),
        ),
      );
    case "/":
      if (!depends(tree.under, by)) return over(d(tree.over), tree.under);
      return plus(
        over(d(tree.over), tree.under),
        minus(over(product(tree.over, d(tree.under)), power(tree.under, value(2)))),
      );
    case "^": {
      if (tree.power.kind !== "number") throw new RangeError("a power that varies");
      const n = tree.power.value;
      return product(value(n), power(tree.base, value(n - 1)), d(tree.base));
    }
    case "call":
      return product(OUTER[tree.name](tree.of[0]), d(tree.of[0]));
    default:
      throw new RangeError(tree.kind);
  }
}

const OUTER = {
  exp: (u) => call("exp", u),
  log: (u) => over(value(1), u),
  tanh: (u) => plus(value(1), minus(power(call("tanh", u), value(2)))),
};

/** A derivative as a person leaves it: numbers gathered in front, signs drawn out. */
export function gathered(tree) {
  const neat = tidy(tree);
  if (neat.kind === "+") return tidy(plus(...neat.terms.map(gathered)));
  let coefficient = 1;
  const factors = [];
  const walk = (each) => {
    if (each.kind === "number") coefficient *= each.value;
    else if (each.kind === "-") {
      coefficient = -coefficient;
      walk(each.of);
    } else if (each.kind === "*") each.factors.forEach(walk);
    else if (each.kind === "/" && each.under.kind === "number") {
      coefficient /= each.under.value;
      walk(each.over);
    } else factors.push(each);
  };
  walk(neat);
  const size = Math.abs(coefficient);
  const rest = product(...(size === 1 && factors.length ? [] : [value(size)]), ...factors);
  return coefficient < 0 ? minus(tidy(rest)) : tidy(rest);
}
