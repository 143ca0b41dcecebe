// What every page is written with: Preact and htm, and the few elements that pages share.
import { h, render } from "./vendor/preact.js";
import { useEffect, useMemo, useRef, useState } from "./vendor/hooks.js";
import htm from "./vendor/htm.js";

export const html = htm.bind(h);
export { render, useEffect, useMemo, useRef, useState };

const GONE = "popstate"; // what the browser itself says when one goes back

/** Go to another page of these without loading the document again. */
export function navigate(address, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", address);
  dispatchEvent(new PopStateEvent(GONE));
}

/** The address bar's path and query, as they change. */
export function useAddress() {
  const read = () => location.pathname + location.search;
  const [address, setAddress] = useState(read());
  useEffect(() => {
    const changed = () => setAddress(read());
    addEventListener(GONE, changed);
    return () => removeEventListener(GONE, changed);
  }, []);
  return address;
}

/** A link that stays in these pages; with a modifier key the browser does as ever. */
export function Link({ href, children, ...rest }) {
  const follow = (event) => {
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey)
      return;
    event.preventDefault();
    navigate(href);
    scrollTo(0, 0);
  };
  return html`<a href=${href} onClick=${follow} ...${rest}>${children}</a>`;
}

/** Run an asynchronous effect that is told to stop when it is over; `failed` hears of its faults. */
export function useAsync(effect, dependencies, failed) {
  useEffect(() => {
    const controller = new AbortController();
    effect(controller.signal).catch((error) => {
      if (controller.signal.aborted) return;
      if (!failed) throw error;
      failed(error);
    });
    return () => controller.abort();
  }, dependencies);
}

/** What the service refused, with every fault; or nothing. */
export function Fault({ error, except = [] }) {
  if (!error) return null;
  const faults = (error.errors ?? []).filter((each) => !except.includes(each.pointer));
  return html`<div class="fault" role="alert">
    <strong>${error.title ?? "That did not work"}</strong>${" "}
    <span>${error.message}</span>
    ${faults.length > 0 &&
    html`<ul>
      ${faults.map((each) => html`<li><code>${each.pointer || "/"}</code> ${each.detail}</li>`)}
    </ul>`}
  </div>`;
}

/** A state of a job, by colour and word. */
export function Status({ job }) {
  const wish = { pause: "pausing", cancel: "cancelling" }[job.want];
  const word = wish && ["queued", "running"].includes(job.status) ? wish : job.status;
  return html`<span class=${`status ${job.status}`}>${word}</span>`;
}

/** A button that copies text and says so. */
export function Copy({ text, children }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return html`<button type="button" onClick=${copy}>${done ? "Copied" : children}</button>`;
}

/** The title of the page, in the tab and as its heading. */
export function Heading({ children, title }) {
  useEffect(() => {
    document.title = `${title} · backpropd`;
  }, [title]);
  return html`<h1>${children ?? title}</h1>`;
}
