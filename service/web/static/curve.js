// A job's history for a screen: coarse over everything, fine where somebody looks.
import { get, pause } from "./api.js";
import { useAsync, useRef, useState } from "./elements.js";
import { number } from "./format.js";

const POINTS = 1500; // more than a screen has columns
const SETTLED_MS = 60; // a view that still moves is not asked for
const EVERY_MS = 500; // a running job's curve

/** A curve that does not come now comes with the next epoch, or when one looks elsewhere. */
const later = () => {};

async function history(id, metrics, query, signal) {
  const asked = new URLSearchParams({ metrics: metrics.join(), points: POINTS, ...query });
  const found = await get(`/v1/jobs/${id}/history?${asked}`, { signal });
  const series = Object.entries(found.series).map(([name, each]) => [name, each.map(number)]);
  return { epoch: found.epoch, series: Object.fromEntries(series), sampled: found.sampled };
}

/**
 * What to draw of `metrics` in `range`: the fine level where it is here and covers the range, else
 * the coarse one; both are asked for as they are needed.
 */
export function useCurve(job, metrics, range) {
  const [coarse, setCoarse] = useState(null);
  const [fine, setFine] = useState(null);
  const last = useRef(0);
  const names = metrics.join();
  useAsync(
    async (signal) => {
      await pause(Math.max(0, last.current + EVERY_MS - Date.now()), signal);
      if (signal.aborted || !metrics.length || !job.progress.epoch) return;
      last.current = Date.now();
      setCoarse(await history(job.id, metrics, {}, signal));
    },
    [job.id, job.progress.epoch, job.status, names],
    later,
  );
  useAsync(
    async (signal) => {
      if (!range || !coarse?.sampled || covers(fine, range, names)) return;
      await pause(SETTLED_MS, signal);
      if (signal.aborted) return;
      const wide = range[1] - range[0];
      const from = Math.max(1, Math.floor(range[0] - wide));
      const to = Math.ceil(range[1] + wide);
      const found = await history(job.id, metrics, { from, to, points: 3 * POINTS }, signal);
      setFine({ ...found, from, to, wide, names });
    },
    [job.id, names, range?.[0], range?.[1], coarse?.sampled],
    later,
  );
  const level = range && covers(fine, range, names, { nearly: true }) ? fine : coarse;
  return level && { ...level, fine: level === fine };
}

/** Whether a fine level holds the whole range, at a fineness that suits it. */
function covers(fine, [a, b], names, { nearly = false } = {}) {
  if (!fine || fine.names !== names || fine.from > Math.max(1, a) || fine.to < b) return false;
  return nearly || b - a > fine.wide / 2;
}
