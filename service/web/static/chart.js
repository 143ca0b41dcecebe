// Curves over epochs: uPlot, with zoom, pan, a logarithmic scale and the page's colours.
import { html, useEffect, useRef } from "./elements.js";
import { short } from "./format.js";
import uPlot from "./vendor/uplot.js";

const DASHED = [6, 4];
const HEIGHT = 340;
const COLOURS = 8; // --series-1 ... in the style sheet

const LOG = 3; // uPlot's name of the scale
const LINEAR = 1;

/**
 * @param epoch   x values, increasing
 * @param series  [{label, values, dashed?, colour}]; colour counts from 0
 * @param range   [first, last] that is shown, or null for everything
 * @param whole   [first, last] of everything there is
 * @param onRange told when a person zooms or pans; null for everything
 */
export function Chart({ epoch, series, log, range, whole, onRange, label, height = HEIGHT }) {
  const place = useRef(null);
  const plot = useRef(null);
  const now = useRef({});
  now.current = { range, whole, onRange };
  const kind = series.map(({ label: name, dashed, colour }) => [name, dashed, colour]).join();

  useEffect(() => {
    const make = () => {
      plot.current?.destroy();
      const size = { width: place.current.clientWidth, height };
      const data = dataOf(epoch, series, log);
      plot.current = new uPlot(optionsOf(size, series, log, now), data, place.current);
      show(plot.current, now.current);
    };
    make();
    const resized = new ResizeObserver(([{ contentRect }]) => {
      if (plot.current.width !== Math.round(contentRect.width))
        plot.current.setSize({ width: Math.round(contentRect.width), height });
    });
    resized.observe(place.current);
    addEventListener("theme", make);
    return () => {
      removeEventListener("theme", make);
      resized.disconnect();
      plot.current.destroy();
      plot.current = null;
    };
  }, [log, kind, height]);

  useEffect(() => {
    plot.current.setData(dataOf(epoch, series, log), false);
    show(plot.current, now.current);
  }, [epoch, series, log]);
  useEffect(() => show(plot.current, now.current), [range?.[0], range?.[1], whole[0], whole[1]]);

  return html`<div class="chart">
    <${Tools} range=${range} whole=${whole} onRange=${onRange} />
    <div
      class="plot"
      ref=${place}
      role="application"
      tabindex="0"
      aria-label=${`${label}. Arrow keys move, plus and minus zoom, 0 shows everything.`}
      onKeyDown=${(event) => pressed(event, range ?? whole, whole, onRange)}
      onDblClick=${() => onRange(null)}
    ></div>
  </div>`;
}

function dataOf(epoch, series, log) {
  const drawable = (x) => (Number.isFinite(x) && (!log || x > 0) ? x : null);
  return [epoch, ...series.map(({ values }) => values.map(drawable))];
}

function show(plot, { range, whole }) {
  const [min, max] = range ?? whole;
  if (plot && Number.isFinite(min)) plot.setScale("x", { min, max: Math.max(max, min + 1) });
}

const MOST_TICKS = 8;

/** Where a logarithmic axis is marked. uPlot's own search for it never ends below some 1e-16. */
function decades(min, max) {
  const [low, high] = [Math.floor(Math.log10(min)), Math.ceil(Math.log10(max))];
  const apart = Math.max(1, Math.ceil((high - low) / MOST_TICKS));
  const heads = high - low <= 3 ? [1, 2, 5] : [1];
  const ticks = [];
  for (let power = low; power <= high; power += apart)
    for (const head of heads) ticks.push(Number(`${head}e${power}`));
  return ticks.filter((each) => each >= min && each <= max);
}

const LOG_AXIS = {
  splits: (plot, axis, min, max) => decades(min, max),
  filter: (plot, ticks) => ticks,
};

function colourOf(k) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--series-${(k % COLOURS) + 1}`);
}

function optionsOf(size, series, log, now) {
  const style = getComputedStyle(document.documentElement);
  const [quiet, line] = ["--quiet", "--line"].map((each) => style.getPropertyValue(each));
  const axis = { stroke: quiet, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
  return {
    ...size,
    scales: {
      x: { time: false },
      y: { distr: log ? LOG : LINEAR, range: log ? logRange : undefined },
    },
    axes: [
      { ...axis, values: (_, ticks) => ticks.map((each) => each.toLocaleString("en")) },
      { ...axis, ...(log ? LOG_AXIS : {}), size: 66, values: (_, ticks) => ticks.map((each) => (each === null ? "" : short(each, 3))) },
    ],
    series: [
      { label: "epoch", value: (_, x) => x?.toLocaleString("en") ?? "–" },
      ...series.map(({ label, dashed, colour }) => ({
        label,
        stroke: colourOf(colour),
        width: 1.6,
        dash: dashed ? DASHED : undefined,
        spanGaps: true,
        points: { show: false },
        value: (_, y) => (y === null || y === undefined ? "–" : short(y, 6)),
      })),
    ],
    cursor: { drag: { x: true, y: false, setScale: false } },
    legend: { live: true },
    hooks: {
      setSelect: [(plot) => selected(plot, now)],
      ready: [(plot) => pannable(plot, now)],
    },
  };
}

/** Whole powers of ten take too much room where all values lie within one of them. */
function logRange(plot, min, max) {
  if (!(min > 0)) return [1e-3, 1];
  return [min / 1.15, max * 1.15];
}

function selected(plot, now) {
  const { left, width } = plot.select;
  if (width < 4) return;
  const [a, b] = [left, left + width].map((each) => Math.round(plot.posToVal(each, "x")));
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  now.current.onRange(within([a, b], now.current.whole));
}

/** Shift and drag moves the view; the wheel zooms with Ctrl, and moves with Shift. */
function pannable(plot, now) {
  const over = plot.over;
  const span = () => now.current.range ?? now.current.whole;
  let from = null;
  over.addEventListener(
    "mousedown",
    (event) => {
      if (!event.shiftKey || event.button) return;
      event.stopImmediatePropagation();
      from = { x: event.clientX, span: span() };
    },
    true,
  );
  const move = (event) => {
    if (!from) return;
    const [a, b] = from.span;
    const by = ((from.x - event.clientX) / over.clientWidth) * (b - a);
    now.current.onRange(moved(from.span, by, now.current.whole));
  };
  const end = () => (from = null);
  addEventListener("mousemove", move);
  addEventListener("mouseup", end);
  (plot.hooks.destroy ??= []).push(() => {
    removeEventListener("mousemove", move);
    removeEventListener("mouseup", end);
  });
  over.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !event.metaKey && !event.shiftKey) return;
      event.preventDefault();
      const [a, b] = span();
      const turned = event.deltaY || event.deltaX;
      const next = event.shiftKey
        ? moved([a, b], (turned / 800) * (b - a), now.current.whole)
        : zoomed([a, b], turned > 0 ? 1.25 : 0.8, now.current.whole, event.offsetX / over.clientWidth);
      now.current.onRange(next);
    },
    { passive: false },
  );
}

/** The range held within everything there is; null where it is everything. */
export function within([a, b], [first, last]) {
  const from = Math.max(first, Math.min(a, last - 1));
  const to = Math.min(last, Math.max(b, from + 1));
  return from <= first && to >= last ? null : [from, to];
}

export function moved([a, b], by, [first, last]) {
  const shift = Math.max(first - a, Math.min(by, last - b));
  return within([a + shift, b + shift], [first, last]);
}

export function zoomed([a, b], factor, whole, at = 0.5) {
  const middle = a + (b - a) * at;
  const next = [Math.round(middle - (middle - a) * factor), Math.round(middle + (b - middle) * factor)];
  return within(next, whole);
}

const KEYS = {
  ArrowLeft: (range, whole) => moved(range, -(range[1] - range[0]) / 8, whole),
  ArrowRight: (range, whole) => moved(range, (range[1] - range[0]) / 8, whole),
  "+": (range, whole) => zoomed(range, 0.5, whole),
  "-": (range, whole) => zoomed(range, 2, whole),
  0: () => null,
};

function pressed(event, range, whole, onRange) {
  const key = KEYS[event.key];
  if (!key) return;
  event.preventDefault();
  onRange(key(range, whole));
}

function Tools({ range, whole, onRange }) {
  const shown = range ?? whole;
  const tool = (name, text, key) =>
    html`<button type="button" aria-label=${text} title=${text} onClick=${() => onRange(KEYS[key](shown, whole))}>
      ${name}
    </button>`;
  return html`<div class="tools" role="group" aria-label="View">
    ${tool("+", "Zoom in", "+")} ${tool("−", "Zoom out", "-")} ${tool("←", "Move left", "ArrowLeft")}
    ${tool("→", "Move right", "ArrowRight")}
    <button type="button" disabled=${range === null} onClick=${() => onRange(null)}>Everything</button>
    <span class="hint">
      epochs ${Math.round(shown[0]).toLocaleString("en")} to ${Math.round(shown[1]).toLocaleString("en")}
    </span>
  </div>`;
}

/** A small curve without axes. */
export function Sparkline({ values, label }) {
  const ys = values.filter((each) => Number.isFinite(each));
  if (ys.length < 2) return html`<svg class="spark" viewBox="0 0 120 28" aria-hidden="true"></svg>`;
  const scale = Math.min(...ys) > 0 ? Math.log : (x) => x;
  const [low, high] = [scale(Math.min(...ys)), scale(Math.max(...ys))];
  const points = ys.map((y, k) => {
    const height = high > low ? (scale(y) - low) / (high - low) : 0.5;
    return `${((k / (ys.length - 1)) * 118 + 1).toFixed(1)},${(26 - height * 24).toFixed(1)}`;
  });
  return html`<svg class="spark" role="img" aria-label=${label} viewBox="0 0 120 28">
    <polyline points=${points.join(" ")} />
  </svg>`;
}
