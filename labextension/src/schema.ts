/**
 * What a JSON schema says of one place in a document, made simple enough for a form: references
 * are followed, `allOf` is merged, and the alternative `null` becomes a property of the node.
 * Checking values is the server's business.
 */

import { Json } from './api';

export type Kind =
  | 'text'
  | 'integer'
  | 'number'
  | 'choice'
  | 'constant'
  | 'object'
  | 'list'
  | 'dictionary'
  | 'union'
  | 'anything';

/** What may stand at one place of a document. */
export interface INode {
  kind: Kind;
  schema: Json;
  root: Json;
  title: string;
  description: string;
  /** What holds when nothing is given; undefined if the schema does not say. */
  default: unknown;
  nullable: boolean;
  /** The values of a choice, or the one of a constant. */
  options: unknown[];
  alternatives: Json[];
  /** The field that tells the alternatives of a union apart, if there is one. */
  tag: string | null;
}

const MOST_REFERENCES = 20;

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

export function makeNode(schema: unknown, root: Json): INode {
  let whole = resolved(schema, root);
  let nullable = false;
  let found = alternativesOf(whole, root);
  for (let i = 0; i < MOST_REFERENCES; i++) {
    nullable = nullable || found.nullable;
    if (found.alternatives.length !== 1 || found.alternatives[0] === whole) {
      break;
    }
    // A title or default beside `anyOf` outranks those of the only alternative.
    const { anyOf, oneOf, type, ...outer } = whole;
    whole = { ...found.alternatives[0], ...outer };
    found = alternativesOf(whole, root);
  }
  const union = found.alternatives.length > 1;
  let { kind, options } = union ? { kind: 'union' as Kind, options: [] } : kindOf(whole);
  if (kind === 'choice' && options.includes(null)) {
    nullable = true;
    options = options.filter(option => option !== null);
  }
  return {
    kind,
    schema: whole,
    root,
    title: textOf(whole.title),
    description: textOf(whole.description),
    default: whole.default,
    nullable,
    options,
    alternatives: union ? found.alternatives : [],
    tag: union ? tagOf(whole, found.alternatives, root) : null
  };
}

/** Follow references within the document; what stands beside one outranks what it leads to. */
function resolved(schema: unknown, root: Json): Json {
  let node = isObject(schema) ? schema : {};
  for (let i = 0; typeof node.$ref === 'string'; i++) {
    if (i === MOST_REFERENCES) {
      return {};
    }
    const { $ref, ...beside } = node;
    node = { ...target($ref as string, root), ...beside };
  }
  return Array.isArray(node.allOf) ? merged(node, root) : node;
}

function target(reference: string, root: Json): Json {
  let node: unknown = root;
  for (const key of reference.replace(/^#\//, '').split('/')) {
    const name = key.replace(/~1/g, '/').replace(/~0/g, '~');
    node = isObject(node) ? node[name] : undefined;
  }
  return isObject(node) && node !== root ? node : {};
}

function merged(node: Json, root: Json): Json {
  const { allOf, ...own } = node;
  const parts = [...(allOf as unknown[]).map(part => resolved(part, root)), own];
  const properties = Object.assign({}, ...parts.map(part => part.properties));
  const required = [...new Set(parts.flatMap(part => strings(part.required)))];
  return Object.assign({}, ...parts, { properties, required });
}

function alternativesOf(whole: Json, root: Json): { alternatives: Json[]; nullable: boolean } {
  const listed = whole.anyOf ?? whole.oneOf;
  let found: Json[];
  if (Array.isArray(listed) && listed.length) {
    found = listed.map(branch => resolved(branch, root));
  } else if (Array.isArray(whole.type)) {
    found = whole.type.map(type => ({ ...whole, type }));
  } else {
    return { alternatives: [whole], nullable: whole.type === 'null' };
  }
  const rest = found.filter(branch => branch.type !== 'null' && branch.const !== null);
  return {
    alternatives: rest.length ? rest : [{ const: null }],
    nullable: rest.length < found.length
  };
}

function kindOf(schema: Json): { kind: Kind; options: unknown[] } {
  if ('const' in schema || schema.type === 'null') {
    return { kind: 'constant', options: [schema.const ?? null] };
  }
  if (Array.isArray(schema.enum) && schema.enum.length) {
    return { kind: schema.enum.length > 1 ? 'choice' : 'constant', options: schema.enum };
  }
  if (schema.type === 'boolean') {
    return { kind: 'choice', options: [true, false] };
  }
  const named = isObject(schema.properties) && Object.keys(schema.properties).length > 0;
  if (schema.type === 'object' || named) {
    const closed = schema.additionalProperties === false;
    return { kind: named || closed ? 'object' : 'dictionary', options: [] };
  }
  const kinds: Record<string, Kind> = {
    string: 'text',
    integer: 'integer',
    number: 'number',
    array: 'list'
  };
  return { kind: kinds[schema.type as string] ?? 'anything', options: [] };
}

function tagOf(whole: Json, alternatives: Json[], root: Json): string | null {
  const named = isObject(whole.discriminator) ? whole.discriminator.propertyName : null;
  if (typeof named === 'string') {
    return named;
  }
  const constants = (branch: Json) =>
    Object.entries((branch.properties as Json) ?? {})
      .filter(([, field]) => kindOf(resolved(field, root)).kind === 'constant')
      .map(([name]) => name);
  const [first, ...others] = alternatives.map(constants);
  return first.find(name => others.every(names => names.includes(name))) ?? null;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

export function fieldsOf(node: INode): Json {
  return isObject(node.schema.properties) ? node.schema.properties : {};
}

export function requiredOf(node: INode): string[] {
  return strings(node.schema.required);
}

/** The schemas of the first items of a list, where each has its own. */
export function fixedItemsOf(node: INode): unknown[] {
  const fixed = node.schema.prefixItems ?? node.schema.items;
  return Array.isArray(fixed) ? fixed : [];
}

export function itemOf(node: INode, position: number): unknown {
  const fixed = fixedItemsOf(node);
  if (position < fixed.length) {
    return fixed[position];
  }
  // Older drafts write a tuple as a list of `items`.
  return Array.isArray(node.schema.items) ? node.schema.additionalItems : node.schema.items;
}

/** The schema of the values of a dictionary. */
export function entryOf(node: INode): unknown {
  const patterns = isObject(node.schema.patternProperties)
    ? Object.values(node.schema.patternProperties)
    : [];
  return patterns.length === 1 ? patterns[0] : node.schema.additionalProperties;
}

/** What the names of a dictionary may be, if the schema says so. */
export function nameOf(node: INode): INode {
  return makeNode(node.schema.propertyNames, node.root);
}

/** The value that tells an alternative of a union from the others. */
export function tagValue(node: INode, branch: Json): unknown {
  const field = node.tag === null ? {} : (branch.properties as Json)?.[node.tag];
  return kindOf(resolved(field, node.root)).options[0];
}

/** What the alternatives of a union are called, each in its own way. */
export function alternativeNames(node: INode): string[] {
  const plain: Record<Kind, string> = {
    text: 'text',
    integer: 'whole number',
    number: 'number',
    choice: 'one of a few',
    constant: 'fixed value',
    object: 'fields',
    list: 'list',
    dictionary: 'names and values',
    union: 'something else',
    anything: 'anything'
  };
  const names = node.alternatives.map(branch => {
    const tag = tagValue(node, branch);
    return tag !== undefined
      ? String(tag)
      : textOf(branch.title) || plain[makeNode(branch, node.root).kind];
  });
  return names.map((name, i) =>
    names.filter(other => other === name).length > 1 ? `${name} (${i + 1})` : name
  );
}

/** Which alternative of a union a value is; -1 if none. */
export function alternativeOf(node: INode, value: unknown): number {
  if (value === undefined || value === null) {
    return -1;
  }
  if (node.tag !== null && isObject(value)) {
    const tag = value[node.tag];
    return node.alternatives.findIndex(branch => same(tagValue(node, branch), tag));
  }
  return node.alternatives.findIndex(branch => accepts(branch, node.root, value));
}

/** Whether a value has the form that a schema asks for, whatever its limits are. */
function accepts(schema: unknown, root: Json, value: unknown): boolean {
  const node = makeNode(schema, root);
  switch (node.kind) {
    case 'union':
      return alternativeOf(node, value) >= 0;
    case 'choice':
    case 'constant':
      return node.options.some(option => same(option, value));
    case 'text':
      return typeof value === 'string';
    case 'integer':
      return Number.isInteger(value);
    case 'number':
      return typeof value === 'number';
    case 'list':
      return (
        Array.isArray(value) &&
        value.every((item, position) => accepts(itemOf(node, position), root, item))
      );
    case 'dictionary':
      return isObject(value);
    case 'object':
      return (
        isObject(value) &&
        Object.entries(value).every(([name, item]) =>
          name in fieldsOf(node)
            ? accepts(fieldsOf(node)[name], root, item)
            : node.schema.additionalProperties !== false
        )
      );
    default:
      return true;
  }
}

/** What a new item or a chosen alternative begins with; undefined: nothing is given yet. */
export function beginning(schema: unknown, root: Json): unknown {
  const node = makeNode(schema, root);
  if (node.default !== undefined) {
    return node.default;
  }
  switch (node.kind) {
    case 'constant':
      return node.options[0];
    case 'object': {
      const fields = requiredOf(node).map(name => [name, beginning(fieldsOf(node)[name], root)]);
      return Object.fromEntries(fields.filter(([, value]) => value !== undefined));
    }
    case 'list':
      return fixedItemsOf(node).map(item => beginning(item, root) ?? null);
    case 'dictionary':
      return {};
    default:
      return undefined;
  }
}

/** The limits of a value in words. */
export function limitWords(node: INode): string {
  const words: Record<string, string> = {
    minimum: 'at least',
    maximum: 'at most',
    exclusiveMinimum: 'greater than',
    exclusiveMaximum: 'less than',
    multipleOf: 'a multiple of',
    minLength: 'characters: at least',
    maxLength: 'characters: at most',
    minItems: 'items: at least',
    maxItems: 'items: at most',
    pattern: 'matches'
  };
  const fixed = fixedItemsOf(node).length > 0;
  // That something has to be written goes without saying.
  const plain = (name: string) => name === 'minLength' && node.schema[name] === 1;
  const described = String(node.schema.description ?? '');
  return Object.entries(words)
    .filter(([name]) => name in node.schema && !(fixed && name.endsWith('Items')) && !plain(name))
    .map(([name, word]) => `${word} ${node.schema[name]}`)
    .filter(limit => !described.includes(limit))
    .join(', ');
}
