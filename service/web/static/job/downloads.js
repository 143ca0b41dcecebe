// Files to take away: the history whole, and the weights of any snapshot in any format.
import { constant, download, get, hasKey } from "../api.js";
import { html, useAsync, useState } from "../elements.js";
import { bytes, count } from "../format.js";

const WEIGHTS = "/v1/jobs/{job_id}/snapshots/{snapshot}/weights";
const HISTORY = "/v1/jobs/{job_id}/history";

/** The formats that the contract names for an operation. */
function formatsOf(document, path) {
  const { parameters } = document.paths[path].get;
  return parameters.find(({ name }) => name === "format")?.schema.enum ?? [];
}

export function Downloads({ job }) {
  const [kept, setKept] = useState([]);
  const [formats, setFormats] = useState(null);
  useAsync(
    async (signal) => {
      const document = await constant("/v1/openapi.json");
      setFormats([formatsOf(document, HISTORY), formatsOf(document, WEIGHTS)]);
      setKept((await get(`/v1/jobs/${job.id}/snapshots`, { signal })).data);
    },
    [job.id, job.status],
    () => {},
  );
  if (!formats || !job.progress.epoch) return null;
  const here = `/v1/jobs/${job.id}`;
  return html`<section>
    <h2>Downloads</h2>
    <p class="row">
      <span>History, every epoch:</span>
      ${formats[0].map(
        (each) => html`<${File}
          look="button"
          path=${`${here}/history?format=${each}`}
          name=${`${job.id}-history.${each}`}
          kind=${each}
        />`,
      )}
    </p>
    <div class="scroll" tabindex="0" role="region" aria-label="Snapshots">
      <table>
        <thead>
          <tr>
            <th scope="col">weights</th><th scope="col" class="right">epoch</th>
            <th scope="col" class="right">size</th><th scope="col">format</th>
          </tr>
        </thead>
        <tbody>
          ${shortened(kept).map(
            (each) => html`<tr key=${each.id}>
              <th scope="row">${each.kind}</th>
              <td class="right">${count(each.epoch)}</td>
              <td class="right quiet">${bytes(each.bytes)}</td>
              <td class="row">
                ${formats[1].map(
                  (format) => html`<${File}
                    path=${`${each.links.weights}?format=${format}`}
                    name=${`${job.id}-${each.epoch}.${format}`}
                    kind=${format}
                    label=${`Weights of epoch ${each.epoch} as ${format}`}
                  />`,
                )}
              </td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
    ${kept.length > MOST && html`<p class="hint">${kept.length} are kept; all are in the list of snapshots of the contract.</p>`}
  </section>`;
}

/** A link to a file, which the browser streams; where there is a key the page fetches it. */
function File({ path, name, kind, label, look }) {
  const fetched = (event) => {
    if (!hasKey()) return;
    event.preventDefault();
    download(path, name);
  };
  return html`<a class=${look} href=${path} download=${name} aria-label=${label} onClick=${fetched}>${kind}</a>`;
}

const MOST = 12;

/** Those with a name, and the last of the others. */
function shortened(kept) {
  if (kept.length <= MOST) return kept;
  const named = kept.filter(({ kind }) => kind !== "every");
  return [...named, ...kept.filter(({ kind }) => kind === "every").slice(-(MOST - named.length))];
}
