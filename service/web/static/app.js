// Which page an address means; the frame around every page.
import { KEY_WANTED, useKey } from "./api.js";
import { Fault, Heading, Link, html, render, useAddress, useEffect, useRef, useState } from "./elements.js";

const PAGES = [
  [/^\/$/, () => import("./pages/jobs.js")],
  [/^\/step-by-step$/, () => import("./pages/step.js")],
  [/^\/compare$/, () => import("./pages/compare.js")],
  [/^\/jobs\/new$/, () => import("./pages/new-job.js")],
  [/^\/jobs\/([^/]+)$/, () => import("./pages/job.js")],
  [/^\/jobs\/([^/]+)\/network$/, () => import("./pages/network.js")],
];

const NAVIGATION = [
  ["/", "Jobs"],
  ["/jobs/new", "New job"],
  ["/step-by-step", "Step by step"],
  ["/compare", "Compare"],
];

function usePage(address) {
  const [shown, setShown] = useState(null);
  useEffect(() => {
    let current = true;
    const path = address.split("?")[0];
    const [pattern, load] = PAGES.find(([each]) => each.test(path)) ?? [];
    if (!load) return setShown({ error: { title: "There is no such page", message: path } });
    const job = pattern.exec(path)[1] ?? ""; // as it stands in the address, so fit for another
    load().then(
      (module) => current && setShown({ Page: module.default, job, path, address }),
      (error) => current && setShown({ error: { title: "Load the page again", message: error } }),
    );
    return () => (current = false);
  }, [address.split("?")[0]]);
  return shown;
}

function Frame() {
  const address = useAddress();
  const shown = usePage(address);
  const path = address.split("?")[0];
  const landed = useRef(path);
  const moved = useRef(false);
  useEffect(() => {
    if (!shown) return;
    moved.current ||= path !== landed.current; // also before the first page was there
    if (moved.current) document.getElementById("main").focus(); // a screen reader goes along
  }, [shown?.path]);
  // A page that is about to be left is not told of the query of the next one.
  const ofPage = shown?.path === path ? address : shown?.address;
  return html`
    <a class="skip" href="#main">To the content</a>
    <header>
      <${Link} class="brand" href="/">backpropd<//>
      <nav aria-label="Pages">
        ${NAVIGATION.map(
          ([href, name]) =>
            html`<${Link} href=${href} aria-current=${path === href ? "page" : null}>${name}<//>`,
        )}
        <a href="/v1/docs">Contract</a>
      </nav>
      <${Theme} />
    </header>
    <main id="main" tabindex="-1">
      <${Key} />
      ${shown?.error && html`<${Heading} title="Not here" /><${Fault} error=${shown.error} />`}
      ${shown?.Page && html`<${shown.Page} key=${shown.path} job=${shown.job} address=${ofPage} />`}
    </main>
  `;
}

/** Where the server asks for a key, a person is asked for it. */
function Key() {
  const [wanted, setWanted] = useState(false);
  useEffect(() => {
    const asked = () => setWanted(true);
    addEventListener(KEY_WANTED, asked);
    return () => removeEventListener(KEY_WANTED, asked);
  }, []);
  if (!wanted) return null;
  const take = (event) => {
    event.preventDefault();
    useKey(new FormData(event.target).get("key").trim());
    location.reload();
  };
  return html`<form class="panel row" onSubmit=${take}>
    <label class="field wide">
      <span>This server asks for a key. It stays in this tab alone.</span>
      <input name="key" type="password" autocomplete="off" required />
    </label>
    <button class="main">Use it</button>
  </form>`;
}

function Theme() {
  const root = document.documentElement;
  const dark = () =>
    (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "")) ===
    "dark";
  const [isDark, setDark] = useState(dark());
  const turn = () => {
    root.dataset.theme = isDark ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
    setDark(!isDark);
    dispatchEvent(new Event("theme"));
  };
  return html`<button
    type="button"
    class="theme"
    onClick=${turn}
    aria-label=${isDark ? "Light theme" : "Dark theme"}
  >
    ${isDark ? "☀" : "☾"}
  </button>`;
}

render(html`<${Frame} />`, document.getElementById("app"));
