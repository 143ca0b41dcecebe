// Numbers and times as people read them.

const DIGITS = 9; // after the point, as the article prints them

/** The number that JSON carries: NaN and the infinities travel as words. */
export function number(value) {
  return typeof value === "string" ? Number(value) : value;
}

/** As a textbook prints it: nine digits after the point, fewer where it is exact. */
export function printed(value) {
  const x = number(value);
  if (!Number.isFinite(x)) return { NaN: "not a number" }[x] ?? (x > 0 ? "∞" : "−∞");
  if (x !== 0 && Math.abs(x) < 1e-5) return signed(x.toPrecision(6));
  if (Math.abs(x) >= 1e9) return signed(x.toPrecision(10));
  const full = x.toFixed(DIGITS);
  const exact = Math.abs(Number(full) - x) <= 1e-14 * Math.abs(x);
  return signed(exact ? full.replace(/\.?0+$/, "") : full);
}

/** Short, for a table or an axis. */
export function short(value, digits = 4) {
  const x = number(value);
  if (x === null || x === undefined) return "–";
  if (!Number.isFinite(x)) return printed(x);
  const magnitude = Math.abs(x);
  if (magnitude !== 0 && (magnitude < 1e-3 || magnitude >= 1e6)) {
    const [mantissa, exponent] = x.toExponential(Math.max(0, digits - 2)).split("e");
    return signed(`${Number(mantissa)}e${Number(exponent)}`);
  }
  return signed(String(Number(x.toPrecision(digits))));
}

function signed(text) {
  return text.replaceAll("-", "−");
}

/** 12,345 */
export function count(value) {
  return value === null || value === undefined ? "–" : value.toLocaleString("en");
}

/** How long ago, or until when. */
export function ago(time, now = Date.now()) {
  if (!time) return "–";
  const seconds = (now - Date.parse(time)) / 1000;
  const length = duration(Math.abs(seconds));
  return seconds >= 0 ? `${length} ago` : `in ${length}`;
}

/** Seconds in the largest unit that fits. */
export function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

/** The time of day of a moment, or its date where that is another day. */
export function clock(time) {
  const date = new Date(time);
  const today = new Date().toDateString() === date.toDateString();
  const hours = date.toLocaleTimeString("en-GB");
  return today ? hours : `${date.toISOString().slice(0, 10)} ${hours}`;
}

export function bytes(size) {
  if (size < 1024) return `${size} B`;
  return size < 1048576 ? `${(size / 1024).toFixed(1)} KB` : `${(size / 1048576).toFixed(1)} MB`;
}
