// A network, drawn: a column a layer, a circle a unit, a line a connection.
import { html } from "./elements.js";
import { printed, short } from "./format.js";

const COLUMN = 210;
const ROW = 84;
const TALL = 250; // what a small network is spread over
const RADIUS = 24;
const MOST_UNITS = 14; // of a layer that is drawn whole
const SHOWN = 6; // on each side of what is left out
const MOST_LABELS = 12; // connections that carry their number
const THICKEST = 5;

/**
 * @param shape   what shapeOf gives
 * @param values  numbers by symbol; a weight's colour and width come from here
 * @param under   for a unit, the text below its name
 * @param lit     symbols and units to be brought out; `soft` those behind them
 */
export function Drawing({ shape, values = {}, under, lit, soft, label, onPick, compact }) {
  const { places, width, height, gaps } = layout(shape, compact);
  const edges = shape.edges.filter(({ from, to }) => places.has(from) && places.has(to));
  const largest = Math.max(...edges.map(({ symbol }) => Math.abs(values[symbol] ?? 0)), 1e-12);
  const said = edges.length <= MOST_LABELS && !compact;
  const mark = (each) => (lit?.has(each) ? "lit" : soft?.has(each) ? "soft" : lit ? "faint" : "");
  return html`<svg
    class="network"
    role="img"
    aria-label=${label}
    viewBox=${`0 0 ${width} ${height}`}
    width=${width}
    height=${height}
  >
    <g class="edges">
      ${edges.map((edge, k) => {
        const [a, b] = [places.get(edge.from), places.get(edge.to)];
        const w = values[edge.symbol];
        const sign = w === undefined ? "" : edge.sign * w < 0 ? "negative" : "positive";
        const thick = w === undefined ? 1.2 : 0.8 + (THICKEST * Math.abs(w)) / largest;
        return html`<line
          key=${`${edge.from}-${edge.to}-${k}`}
          class=${`${sign} ${mark(edge.symbol)} ${onPick ? "pickable" : ""}`}
          x1=${a.x}
          y1=${a.y}
          x2=${b.x}
          y2=${b.y}
          stroke-width=${thick.toFixed(2)}
          onClick=${onPick && (() => onPick(edge.symbol))}
        >
          <title>${edge.symbol}: ${edge.from} → ${edge.to}${w === undefined ? "" : ` = ${printed(w)}`}</title>
        </line>`;
      })}
    </g>
    ${said && edges.map((edge) => edgeLabel(edge, places, values, mark))}
    ${shape.columns.map((column) => unitsOf(column, places, mark, under, compact))}
    ${gaps.map(({ x, y, left }) => html`<text class="gap" x=${x} y=${y}>⋮ ${left} more</text>`)}
  </svg>`;
}

function layout(shape, compact) {
  let [columnGap, rowGap] = compact ? [120, 46] : [COLUMN, ROW];
  const shown = shape.columns.map(({ units }) =>
    units.length <= MOST_UNITS ? units.map(({ id }) => id) : elided(units),
  );
  const tallest = Math.max(...shown.map((each) => each.length));
  if (!compact && tallest > 1) rowGap = Math.max(rowGap, Math.min(TALL / (tallest - 1), 170));
  const margin = compact ? 26 : 44;
  const width = 2 * margin + columnGap * (shown.length - 1);
  const height = 2 * margin + rowGap * (tallest - 1) + (compact ? 0 : 16);
  const places = new Map();
  const gaps = [];
  shown.forEach((ids, k) => {
    const top = margin + ((tallest - ids.length) * rowGap) / 2;
    ids.forEach((id, row) => {
      const place = { x: margin + k * columnGap, y: top + row * rowGap };
      if (id === null) gaps.push({ ...place, left: shape.columns[k].units.length - 2 * SHOWN });
      else places.set(id, place);
    });
  });
  return { places, width, height, gaps };
}

function elided(units) {
  const ids = units.map(({ id }) => id);
  return [...ids.slice(0, SHOWN), null, ...ids.slice(-SHOWN)];
}

/** Nearer to where the connection begins, and higher for one that falls: so they do not collide. */
function edgeLabel(edge, places, values, mark) {
  const [a, b] = [places.get(edge.from), places.get(edge.to)];
  const along = 0.3;
  const x = a.x + (b.x - a.x) * along;
  const y = a.y + (b.y - a.y) * along + (b.y > a.y ? -7 : b.y < a.y ? 15 : -7);
  const w = values[edge.symbol];
  return html`<text class=${`weight ${mark(edge.symbol)}`} x=${x} y=${y}>
    ${edge.symbol}${w === undefined ? "" : ` ${short(w)}`}
  </text>`;
}

function unitsOf({ units, name }, places, mark, under, compact) {
  return units
    .filter(({ id }) => places.has(id))
    .map(({ id }) => {
      const { x, y } = places.get(id);
      const text = under?.(id);
      return html`<g key=${id} class=${`unit ${mark(id)}`}>
        <circle cx=${x} cy=${y} r=${compact ? 13 : RADIUS} />
        ${!compact && html`<text class="name" x=${x} y=${text ? y - 2 : y + 4}>${id.replace("_", ",")}</text>`}
        ${!compact && text && html`<text class="below" x=${x} y=${y + 12}>${text}</text>`}
        <title>${id} of ${name}${text ? `: ${text}` : ""}</title>
      </g>`;
    });
}
