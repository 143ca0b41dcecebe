// A definition as a graph: its units and connections, by the symbols that a trace gives them.

/** Units by layer, and connections; the symbols are those of POST /v1/trace. */
export function shapeOf(network) {
  const layers = named(network);
  const columns = [{ name: "inputs", units: units("i", network.inputs) }];
  const hidden = layers.length - 1;
  layers.forEach((layer, k) => {
    const letter = k === hidden ? "o" : hidden === 1 ? "h" : `h${k + 1}_`;
    columns.push({ name: layer.name, units: units(letter, layer.units) });
  });
  const column = new Map(columns.map((each) => [each.name, each]));
  const edges = [];
  const biases = [];
  let first = 1;
  layers.forEach((layer, k) => {
    const sources = sourcesOf(layers, k).flatMap((source) => column.get(source)?.units ?? []);
    const ties = tiesOf(layer, sources.length);
    let most = 0;
    ties.forEach((row, j) =>
      row.forEach((tie, i) => {
        if (tie === 0) return;
        most = Math.max(most, Math.abs(tie));
        const to = columns[k + 1].units[j].id;
        const symbol = `w${first + Math.abs(tie) - 1}`;
        edges.push({ from: sources[i].id, to, symbol, layer: k, j, i, sign: Math.sign(tie) });
      }),
    );
    first += most;
    if (layer.use_bias !== false)
      columns[k + 1].units.forEach(({ id }, j) =>
        biases.push({ symbol: layer.share_bias ? `b${k + 1}` : `b${k + 1}_${id}`, layer: k, j }),
      );
  });
  return { columns, edges, biases };
}

function units(letter, many) {
  return Array.from({ length: many }, (_, k) => ({ id: `${letter}${k + 1}` }));
}

/** The layers, with the names that the service would give them. */
export function named(network) {
  const hidden = network.layers.length - 1;
  return network.layers.map((layer, k) => ({
    ...layer,
    name: layer.name || (k === hidden ? "output" : hidden === 1 ? "hidden" : `hidden${k + 1}`),
  }));
}

export function sourcesOf(layers, k) {
  const given = layers[k].from ?? [];
  return given.length ? given : [k === 0 ? "inputs" : layers[k - 1].name];
}

function tiesOf(layer, fanIn) {
  let count = 0;
  if (layer.mask) return layer.mask.map((row) => row.map((one) => (one ? (count += 1) : 0)));
  if (layer.tied) {
    const all = layer.tied.flat().map(Math.abs).filter(Boolean);
    const found = [...new Set(all)].sort((a, b) => a - b);
    return layer.tied.map((row) =>
      row.map((tie) => Math.sign(tie) * (found.indexOf(Math.abs(tie)) + 1)),
    );
  }
  return Array.from({ length: layer.units }, () =>
    Array.from({ length: fanIn }, () => (count += 1)),
  );
}

/** The definition with every weight and bias given, taken from the values of a trace. */
export function filled(network, values) {
  const { edges, biases } = shapeOf(network);
  const layers = named(network).map((layer) => ({ ...layer }));
  edges.forEach(({ symbol, layer, j, i, sign }) => {
    const into = (layers[layer].weights = rows(layers[layer].weights, layers[layer].units));
    into[j][i] = sign * Number(values[symbol]);
  });
  for (const layer of layers)
    layer.weights = layer.weights?.map((row) => Array.from(row, (each) => each ?? 0)) ?? null;
  biases.forEach(({ symbol, layer, j }) => {
    layers[layer].biases = [...(layers[layer].biases ?? [])];
    layers[layer].biases[j] = Number(values[symbol]);
  });
  return { ...network, layers };
}

function rows(given, many) {
  return (given ?? Array.from({ length: many }, () => [])).map((row) => [...row]);
}

/** The definition with one number changed; connections that share a weight change together. */
export function changed(network, symbol, x) {
  return filled(network, { ...valuesOf(network), [symbol]: x });
}

/** Every weight and bias of a filled definition, by its symbol. */
export function valuesOf(network) {
  const { edges, biases } = shapeOf(network);
  const values = {};
  for (const { symbol, layer, j, i, sign } of edges)
    values[symbol] = sign * network.layers[layer].weights[j][i];
  for (const { symbol, layer, j } of biases) values[symbol] = network.layers[layer].biases[j];
  return values;
}

export const parameterCount = ({ edges, biases }) =>
  new Set([...edges, ...biases].map(({ symbol }) => symbol)).size;
