// Fields made from schemas: whatever the contract may be asked, without saying it twice.
import { html, useEffect, useState } from "../elements.js";
import { deref, kindOf, put, said } from "./schema.js";

const A_SHARE = 0.2; // held back, where nobody says another

/**
 * All fields of an object but those left out. `context` is {document, catalog, problem}; a pointer
 * is where the value stands in the body, and a fault of the service's goes beside its field.
 */
export function Fields({ schema, value = {}, change, pointer, context, only, except = [] }) {
  const names = only ?? Object.keys(schema.properties);
  return names
    .filter((name) => !except.includes(name) && schema.properties[name])
    .map(
      (name) => html`<${Field}
        key=${name}
        name=${name}
        schema=${schema.properties[name]}
        needed=${schema.required?.includes(name)}
        value=${value[name]}
        change=${(next) => change(put(value, name, next))}
        pointer=${`${pointer}/${name}`}
        context=${context}
      />`,
    );
}

export function Field({ name, schema, value, change, pointer, context, needed, label }) {
  const kind = kindOf(schema, context.document, context.catalog);
  const Shape = SHAPES[kind.kind];
  return html`<${Shape} ...${{ name, schema, kind, value, change, pointer, context, needed }} label=${label ?? said(name)} />`;
}

/** The frame of a field: its label, its control, what it is for and what is wrong with it. */
function Framed({ label, pointer, context, schema, wide, children }) {
  const faults = context.problem?.at?.(pointer) ?? [];
  return html`<label
    class=${wide ? "field wide" : "field"}
    data-pointer=${pointer}
    data-wrong=${faults.length ? "" : null}
    title=${schema?.description}
  >
    <span>${label}</span>
    ${children(faults.length ? "true" : null)}
    ${faults.map((each) => html`<span class="wrong" role="alert">${each}</span>`)}
  </label>`;
}

function Typed({ value, change, read, ...frame }) {
  const show = (x) => (x === undefined || x === null ? "" : typeof x === "object" ? JSON.stringify(x) : String(x));
  const [text, setText] = useState(show(value));
  useEffect(() => {
    if (show(read(text)) !== show(value)) setText(show(value));
  }, [show(value)]);
  const typed = (event) => {
    setText(event.target.value);
    change(read(event.target.value));
  };
  const preset = frame.schema.default;
  return html`<${Framed} ...${frame}>
    ${(invalid) => html`<input
      type="text"
      inputmode=${frame.inputmode}
      value=${text}
      placeholder=${preset === undefined || preset === null ? "" : show(preset)}
      aria-invalid=${invalid}
      onInput=${typed}
    />`}
  <//>`;
}

const numeric = (text) => (text.trim() === "" ? undefined : Number.isNaN(Number(text)) ? text : Number(text));

function json(text) {
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text; // the service says what it should have been
  }
}

function Choice({ kind, value, change, needed, ...frame }) {
  return html`<${Framed} ...${frame}>
    ${(invalid) => html`<select
      value=${value ?? ""}
      aria-invalid=${invalid}
      onChange=${(event) => change(event.target.value || undefined)}
    >
      ${!needed && html`<option value="">${frame.schema.default ?? "none"}</option>`}
      ${kind.names.map((each) => html`<option value=${each}>${said(each)}</option>`)}
    </select>`}
  <//>`;
}

function Flag({ value, change, schema, label, pointer, context }) {
  const faults = context.problem?.at?.(pointer) ?? [];
  return html`<label class="flag row" title=${schema.description} data-pointer=${pointer}>
    <input
      type="checkbox"
      checked=${value ?? schema.default ?? false}
      onChange=${(event) => change(event.target.checked)}
    />
    ${label} ${faults.map((each) => html`<span class="wrong" role="alert">${each}</span>`)}
  </label>`;
}

/** A part of the catalog, with the settings that its own schema names. */
function Part({ kind, value, change, needed, ...frame }) {
  const chosen = typeof value === "string" ? value : (value?.name ?? "");
  const { default: preset } = frame.schema;
  const part = frame.context.catalog[kind.of].find(({ name }) => name === chosen);
  const settings = part && Object.keys(part.schema.properties).filter((name) => name !== "name");
  return html`<div class="part">
    <${Framed} ...${frame}>
      ${(invalid) => html`<select
        value=${chosen}
        aria-invalid=${invalid}
        onChange=${(event) => change(event.target.value || undefined)}
      >
        ${!needed && html`<option value="">${said(preset?.name ?? preset ?? "none")}</option>`}
        ${kind.names.map((each) => html`<option value=${each}>${said(each)}</option>`)}
      </select>`}
    <//>
    ${settings?.length > 0 &&
    html`<${Fields}
      schema=${part.schema}
      only=${settings}
      value=${typeof value === "object" ? value : { name: chosen }}
      change=${change}
      pointer=${frame.pointer}
      context=${frame.context}
    />`}
  </div>`;
}

function Nested({ kind, value, change, label, pointer, context }) {
  return html`<fieldset class="nested">
    <legend>${label}</legend>
    <div class="fields">
      <${Fields}
        schema=${kind.schema}
        value=${value}
        change=${(next) => change(Object.keys(next).length ? next : undefined)}
        pointer=${pointer}
        context=${context}
      />
    </div>
  </fieldset>`;
}

/** An object that the service takes as it is, to begin with. */
function starting(form, document) {
  const begin = (schema) => {
    if (schema.default !== undefined) return schema.default;
    if (schema.type === "array") return [begin(deref(schema.items, document))];
    if (schema.type === "integer") return schema.minimum ?? 1;
    return A_SHARE;
  };
  return Object.fromEntries(form.required.map((name) => [name, begin(form.properties[name])]));
}

/** One of several objects: which one is told by the field that only it has. */
function Forms({ kind, value, change, label, pointer, context, schema }) {
  const first = (form) => form.required?.[0] ?? Object.keys(form.properties)[0];
  const chosen = value && kind.forms.find((form) => first(form) in value);
  const choose = (event) => {
    const form = kind.forms.find((each) => first(each) === event.target.value);
    change(form && starting(form, context.document));
  };
  return html`<div class="part">
    <${Framed} ...${{ label, pointer, context, schema }}>
      ${(invalid) => html`<select value=${chosen ? first(chosen) : ""} aria-invalid=${invalid} onChange=${choose}>
        <option value="">none</option>
        ${kind.forms.map((form) => html`<option value=${first(form)}>${said(first(form))}</option>`)}
      </select>`}
    <//>
    ${chosen &&
    html`<${Fields}
      schema=${chosen}
      value=${value}
      change=${(next) => change({ [first(chosen)]: undefined, ...next })}
      ...${{ pointer, context }}
    />`}
  </div>`;
}

const SHAPES = {
  part: Part,
  choice: Choice,
  flag: Flag,
  number: (given) => html`<${Typed} ...${given} read=${numeric} inputmode="decimal" />`,
  mixed: (given) => html`<${Typed} ...${given} read=${numeric} />`,
  text: (given) => html`<${Typed} ...${given} read=${(text) => (text === "" ? undefined : text)} />`,
  json: (given) => html`<${Typed} ...${given} read=${json} />`,
  object: Nested,
  forms: Forms,
};
