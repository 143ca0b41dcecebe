// Which network's step: the article's, one of a job, or one made here.
import { constant, get } from "../api.js";
import { html, navigate, useAsync, useState } from "../elements.js";
import { own } from "./source.js";

export function Chooser({ query, take, fail }) {
  const [from, setFrom] = useState(query.get("job") ? "job" : "mazur");
  const choose = (which) => {
    setFrom(which);
    if (which === "mazur") navigate("/step-by-step");
  };
  const options = [
    ["mazur", "Mazur's example"],
    ["job", "A job and a row of its data"],
    ["own", "A network of my own"],
  ];
  return html`<div class="chooser">
    <fieldset class="choices">
      <legend class="visually-hidden">Which network</legend>
      ${options.map(
        ([value, title]) => html`<label>
          <input type="radio" name="from" checked=${from === value} onChange=${() => choose(value)} />
          ${title}
        </label>`,
      )}
    </fieldset>
    ${from === "job" && html`<${OfJob} query=${query} />`}
    ${from === "own" && html`<${Own} take=${take} fail=${fail} />`}
  </div>`;
}

function OfJob({ query }) {
  const [jobs, setJobs] = useState([]);
  const [asked, setAsked] = useState({
    job: query.get("job") ?? "",
    snapshot: query.get("snapshot") ?? "final",
    row: query.get("row") ?? "0",
  });
  const [kept, setKept] = useState([]);
  useAsync(async (signal) => {
    const { data } = await get("/v1/jobs?limit=100", { signal });
    setJobs(data);
    if (!asked.job && data.length) setAsked({ ...asked, job: data[0].id });
  }, []);
  useAsync(
    async (signal) => {
      if (!asked.job) return;
      const { data } = await get(`/v1/jobs/${encodeURIComponent(asked.job)}/snapshots`, { signal });
      setKept(data.map(({ kind, epoch }) => (kind === "every" ? String(epoch) : kind)));
    },
    [asked.job],
  );
  const set = (field) => (event) => setAsked({ ...asked, [field]: event.target.value });
  const go = (event) => {
    event.preventDefault();
    navigate(`/step-by-step?${new URLSearchParams(asked)}`);
  };
  if (!jobs.length) return html`<p class="hint">There are no jobs yet.</p>`;
  return html`<form class="fields" onSubmit=${go}>
    <label class="field wide">
      <span>job</span>
      <select value=${asked.job} onChange=${set("job")}>
        ${jobs.map(({ id, name }) => html`<option value=${id}>${name ? `${name} (${id})` : id}</option>`)}
      </select>
    </label>
    <label class="field">
      <span>weights</span>
      <select value=${asked.snapshot} onChange=${set("snapshot")}>
        ${[...new Set([...kept, asked.snapshot])].map((each) => html`<option>${each}</option>`)}
      </select>
    </label>
    <label class="field">
      <span>row</span>
      <input type="number" min="0" step="1" value=${asked.row} onInput=${set("row")} />
    </label>
    <button class="main">Show its step</button>
  </form>`;
}

function Own({ take, fail }) {
  const [catalog, setCatalog] = useState(null);
  const [asked, setAsked] = useState({
    inputs: "3",
    hidden: "4, 3",
    outputs: "2",
    activation: "tanh",
    last: "softmax",
    loss: "cross_entropy",
  });
  useAsync(async () => setCatalog((await constant("/v1/catalog")).parts), []);
  if (!catalog) return null;
  const set = (field) => (event) => setAsked({ ...asked, [field]: event.target.value });
  const draw = async (event) => {
    event.preventDefault();
    const sizes = asked.hidden.split(/[\s,]+/).filter(Boolean).map(Number);
    const wanted = { ...asked, inputs: +asked.inputs, outputs: +asked.outputs, hidden: sizes };
    await own(wanted).then(take, fail);
  };
  const select = (field, label, kind) => html`<label class="field">
    <span>${label}</span>
    <select value=${asked[field]} onChange=${set(field)}>
      ${catalog[kind].map(({ name }) => html`<option value=${name}>${name.replaceAll("_", " ")}</option>`)}
    </select>
  </label>`;
  const text = (field, label, type) => html`<label class="field">
    <span>${label}</span>
    <input type=${type} min="1" value=${asked[field]} onInput=${set(field)} />
  </label>`;
  return html`<form class="fields" onSubmit=${draw}>
    ${text("inputs", "inputs", "number")} ${text("hidden", "hidden layers", "text")}
    ${select("activation", "their activation", "activation")} ${text("outputs", "outputs", "number")}
    ${select("last", "their activation", "activation")} ${select("loss", "loss", "loss")}
    <button class="main">Draw its weights</button>
  </form>`;
}
