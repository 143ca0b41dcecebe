// What a field of the contract may be, read from its JSON Schema.

/**
 * One of: {kind: "part", of, names} a part of the catalog; {kind: "choice", names};
 * {kind: "flag"}; {kind: "number", whole}; {kind: "mixed"} a number or a word; {kind: "text"};
 * {kind: "forms", forms} one of several objects; {kind: "object", schema}; {kind: "json"} the rest.
 */
export function kindOf(schema, document, catalog) {
  const plain = deref(withoutNull(schema), document);
  const options = plain.oneOf ?? plain.anyOf;
  if (options) return kindOfOptions(options, document, catalog);
  if (plain.enum) return { kind: "choice", names: plain.enum };
  if (plain.type === "boolean") return { kind: "flag" };
  if (plain.type === "integer" || plain.type === "number")
    return { kind: "number", whole: plain.type === "integer", schema: plain };
  if (plain.type === "string") return { kind: "text" };
  if (plain.type === "object" && plain.properties) return { kind: "object", schema: plain };
  return { kind: "json" };
}

function kindOfOptions(options, document, catalog) {
  const names = options.find((each) => each.enum)?.enum;
  const of = names && partKind(names, catalog);
  if (of) return { kind: "part", of, names };
  const types = options.map((each) => each.type ?? typeof each.const);
  if (types.every((type) => ["integer", "number", "string"].includes(type))) return { kind: "mixed" };
  const forms = options.map((each) => deref(each, document));
  if (forms.every((each) => each.type === "object" && each.properties)) return { kind: "forms", forms };
  return { kind: "json" };
}

function partKind(names, catalog) {
  const same = ([, parts]) => parts.map(({ name }) => name).join() === names.join();
  return Object.entries(catalog).find(same)?.[0];
}

function withoutNull(schema) {
  const options = schema.anyOf?.filter((each) => each.type !== "null");
  return options?.length === 1 ? options[0] : schema;
}

export function deref(schema, document) {
  if (!schema.$ref) return schema;
  return schema.$ref
    .slice(2)
    .split("/")
    .reduce((node, name) => node[name], document);
}

/** "batch_size" -> "batch size" */
export const said = (name) => name.replaceAll("_", " ");

/** The object with this field set, or without it where there is nothing. */
export function put(object, name, x) {
  const { [name]: _, ...rest } = object ?? {};
  return x === undefined ? rest : { ...rest, [name]: x };
}
