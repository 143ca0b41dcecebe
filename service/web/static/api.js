// The HTTP contract, as any client sees it. Every request of the pages goes through here.

/** A problem document (RFC 9457) that the service answered with. */
export class Refused extends Error {
  constructor(problem) {
    super(problem.detail ?? "");
    Object.assign(this, { title: problem.title, status: problem.status, problem });
    this.errors = problem.errors ?? [];
  }

  /** What is said of the field at this JSON pointer. */
  at(pointer) {
    return this.errors.filter((each) => each.pointer === pointer).map((each) => each.detail);
  }
}

const KEY = "key"; // in the storage of this tab, where a person has given one
export const KEY_WANTED = "key-wanted"; // the event of a server that asks for one

const keyOf = () => sessionStorage.getItem(KEY);

/** Ask with this key from now on, in this tab. */
export const useKey = (key) => sessionStorage.setItem(KEY, key);

function headers(more) {
  const key = keyOf();
  return key ? { Authorization: `Bearer ${key}`, ...more } : more;
}

/** Ask, and give back what the service answers; raise Refused where it refuses. */
export async function ask(method, path, body, { signal, type } = {}) {
  const plain = body instanceof FormData || body instanceof Blob || typeof body === "string";
  const answer = await fetch(path, {
    method,
    signal,
    headers: headers(
      body instanceof FormData || body === undefined
        ? {}
        : { "Content-Type": type ?? "application/json" },
    ),
    body: body === undefined || plain ? body : JSON.stringify(body),
  }).catch((error) => {
    if (signal?.aborted) throw error;
    throw new Refused({ title: "The service does not answer", detail: String(error.message) });
  });
  if (answer.status === 204) return null;
  const content = await answer.json().catch(() => null);
  if (answer.ok && content !== null) return content;
  if (answer.status === 401) dispatchEvent(new Event(KEY_WANTED));
  throw new Refused(content ?? { title: `${answer.status} ${answer.statusText}`, detail: "" });
}

export const get = (path, options) => ask("GET", path, undefined, options);
export const post = (path, body, options) => ask("POST", path, body, options);

const once = new Map();

/** What does not change while a page is open, asked for once. */
export function constant(path) {
  if (!once.has(path)) {
    const answer = get(path);
    answer.catch(() => once.delete(path));
    once.set(path, answer);
  }
  return once.get(path);
}

const WAIT_SECONDS = 20;
const ENDED = ["succeeded", "failed", "cancelled"];

export const ended = (job) => ENDED.includes(job.status);

/** A job, told each time it has changed, until it has ended or the signal says stop. */
export async function watch(id, told, signal) {
  let job = await get(`/v1/jobs/${id}`, { signal });
  told(job);
  while (!signal.aborted && !ended(job)) {
    try {
      const query = `wait=${WAIT_SECONDS}&version=${job.version}`;
      const seen = await get(`/v1/jobs/${id}?${query}`, { signal });
      if (seen.version !== job.version) told(seen);
      else await pause(250, signal); // it did not wait: too many do already
      job = seen;
    } catch (error) {
      if (signal.aborted || error.status === 404) throw error;
      await pause(1000, signal); // a server that starts again is asked again
    }
  }
}

/** Resolve after so many milliseconds, or when the signal says stop. */
export function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

/** Tell `told` again and again, as long as somebody looks at the page. */
export async function repeat(act, milliseconds, signal) {
  while (!signal.aborted) {
    if (!document.hidden) await act();
    await pause(milliseconds, signal);
  }
}

/** Save a file; a link alone would not carry a key. */
export async function download(path, name) {
  const answer = await fetch(path, { headers: headers({}) });
  if (!answer.ok) throw new Refused(await answer.json());
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

export const hasKey = () => keyOf() !== null;
