// What may be done with a job in its state.
import { ask, ended, post } from "../api.js";
import { Fault, Link, html, navigate, useState } from "../elements.js";

const WISHES = { pause: "Pause", resume: "Resume", cancel: "Cancel", retry: "Retry" };

export function Actions({ job, changed }) {
  const [error, setError] = useState(null);
  const here = `/v1/jobs/${job.id}`;
  const doing = (act) => async (event) => {
    event?.preventDefault();
    setError(null);
    await act().catch(setError);
  };
  const wish = (name) => doing(async () => changed(await post(`${here}/${name}`)));
  const remove = doing(async () => {
    if (!confirm("Delete this job with its history and weights?")) return;
    await ask("DELETE", here);
    navigate("/");
  });
  return html`<div class="actions row">
      ${Object.entries(WISHES)
        .filter(([name]) => job.allowed_actions.includes(name))
        .map(([name, title]) => html`<button type="button" onClick=${wish(name)}>${title}</button>`)}
      ${job.status === "succeeded" && html`<${Extend} job=${job} doing=${doing} />`}
      <${Link} class="button" href=${`/jobs/new?clone=${job.id}`}>Clone<//>
      ${job.progress.epoch > 0 &&
      html`<${Link} class="button" href=${`/jobs/${job.id}/network`}>Network<//>
        <${Link} class="button" href=${`/step-by-step?job=${job.id}&snapshot=${ended(job) ? "final" : "initial"}&row=0`}>Step by step<//>
        <${Link} class="button" href=${`/compare?jobs=${job.id}`}>Compare<//>`}
      ${ended(job) && html`<button type="button" onClick=${remove}>Delete</button>`}
    </div>
    <${Fault} error=${error} />`;
}

/** Go on from the final state, as if more epochs had been asked for at first. */
function Extend({ job, doing }) {
  const [epochs, setEpochs] = useState(String(job.progress.epochs));
  const extend = doing(async () => {
    const made = await post(`/v1/jobs/${job.id}/extend`, { epochs: Number(epochs) });
    navigate(`/jobs/${made.id}`);
  });
  return html`<form class="row extend" onSubmit=${extend}>
    <input
      type="number"
      min="1"
      aria-label="More epochs"
      value=${epochs}
      onInput=${(event) => setEpochs(event.target.value)}
    />
    <button>Extend</button>
  </form>`;
}
