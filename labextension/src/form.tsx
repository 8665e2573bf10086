/**
 * A form for a JSON document, made from its schema. A field that is left alone is not in the
 * document, so that its default holds.
 */

import React, { useEffect, useId, useState } from 'react';

import { IFieldProblem, Json } from './api';
import { emphasized } from './parts';
import { printable, printableLines } from './words';
import {
  INode,
  alternativeNames,
  alternativeOf,
  beginning,
  entryOf,
  fieldsOf,
  fixedItemsOf,
  isObject,
  itemOf,
  limitWords,
  makeNode,
  nameOf,
  requiredOf,
  same,
  tagValue
} from './schema';

interface IFieldProps {
  node: INode;
  name: string;
  /** Where it stands, `args_parallel.channels[0].label`; problems are told by it. */
  path: string;
  value: unknown;
  /** Undefined takes the value out of the document. */
  change: (value: unknown) => void;
  problems: IFieldProblem[];
  required?: boolean;
  /** A field that belongs to the union around it. */
  hidden?: string[];
}

/** The fields of an object, all of them but the hidden ones. */
export function Form(props: {
  schema: Json;
  path: string;
  value: Json;
  change: (value: Json) => void;
  problems: IFieldProblem[];
  hidden: string[];
}): JSX.Element {
  const node = makeNode(props.schema, props.schema);
  return (
    <div className="fj-form">
      <Fields
        {...props}
        node={node}
        name=""
        change={value => props.change((value ?? {}) as Json)}
      />
    </div>
  );
}

function Fields(props: IFieldProps): JSX.Element {
  const { node, path, hidden = [] } = props;
  const value = isObject(props.value) ? props.value : {};
  const change = (name: string, item: unknown) => {
    const { [name]: _, ...others } = value;
    props.change(item === undefined ? others : { ...others, [name]: item });
  };
  return (
    <>
      {Object.entries(fieldsOf(node))
        .filter(([name]) => !hidden.includes(name))
        .map(([name, schema]) => (
          <Field
            key={name}
            node={makeNode(schema, node.root)}
            name={name}
            path={childPath(path, name)}
            value={value[name]}
            change={item => change(name, item)}
            problems={props.problems}
            required={requiredOf(node).includes(name)}
          />
        ))}
    </>
  );
}

function childPath(path: string, name: string): string {
  const plain = /^[\p{L}_][\p{L}\p{N}_]*$/u.test(name);
  return plain ? [path, name].filter(Boolean).join('.') : `${path}['${name}']`;
}

function Field(props: IFieldProps): JSX.Element | null {
  const { node, name, path, value, change } = props;
  const id = useId();
  const wrong = props.problems.filter(problem => problem.path === path);
  if (node.kind === 'constant' && !node.nullable) {
    return null;
  }
  const title = printable(node.title || name);
  const limits = limitWords(node);
  const nullDefault = node.default === undefined || node.default === null;
  const about = {
    id,
    'aria-describedby': `${id}-help`,
    'aria-invalid': wrong.length > 0,
    'aria-required': props.required || undefined
  };
  const isGroup = ['object', 'list', 'dictionary', 'union'].includes(node.kind);
  const note = (
    <div id={`${id}-help`} className="fj-help">
      {emphasized(printableLines(node.description))}
      {limits && ` (${printable(limits)})`}
      {wrong.map(problem => (
        <div key={problem.words ?? problem.allowed} className="fj-wrong" role="alert">
          {printable(problem.words ?? `Found ${problem.found}; allowed: ${problem.allowed}`)}
        </div>
      ))}
    </div>
  );
  const label = `${title}${props.required ? ' (required)' : ''}`;
  // Null has to be said only where leaving the field alone means something else.
  const none = node.nullable && !nullDefault && (
    <label>
      <input
        type="checkbox"
        checked={value === null}
        onChange={event => change(event.target.checked ? null : undefined)}
      />
      {' none'}
    </label>
  );
  const input = value !== null || nullDefault ? <Input {...props} about={about} /> : null;
  return isGroup ? (
    <div className="fj-field" role="group" aria-labelledby={`${id}-label`}>
      <span id={`${id}-label`} className="fj-legend">
        {label}
      </span>
      {note}
      {none}
      {input}
    </div>
  ) : (
    <div className="fj-field">
      <label htmlFor={id}>{label}</label>
      {input}
      {none}
      {note}
    </div>
  );
}

interface IInputProps extends IFieldProps {
  about: { id: string } & React.AriaAttributes;
}

function Input(props: IInputProps): JSX.Element {
  switch (props.node.kind) {
    case 'text':
      return <Text {...props} />;
    case 'integer':
    case 'number':
      return <Num {...props} />;
    case 'choice':
      return <Choice {...props} />;
    case 'constant':
      return <span>{printable(JSON.stringify(props.node.options[0]))}</span>;
    case 'object':
      return <Optional {...props} part={Nested} />;
    case 'list':
      return <Optional {...props} part={List} />;
    case 'dictionary':
      return <Optional {...props} part={Dictionary} />;
    case 'union':
      return <Union {...props} />;
    default:
      return <AnyJson {...props} />;
  }
}

/** What stands in an empty field: its default, or what may be written. */
function placeholder(node: INode): string | undefined {
  const examples = Array.isArray(node.schema.examples) ? node.schema.examples : [];
  if (node.default !== undefined && node.default !== null) {
    return printable(typeof node.default === 'string' ? node.default : JSON.stringify(node.default));
  }
  return examples.length ? `for example ${printable(String(examples[0]))}` : undefined;
}

function Text(props: IInputProps): JSX.Element {
  const { node, change } = props;
  const given = {
    ...props.about,
    placeholder: placeholder(node),
    value: typeof props.value === 'string' ? props.value : '',
    onChange: (event: { target: { value: string } }) => change(event.target.value || undefined)
  };
  return node.schema.format === 'lines' ? (
    <textarea {...given} rows={3} spellCheck={false} />
  ) : (
    <input {...given} type="text" />
  );
}

function Num(props: IInputProps): JSX.Element {
  const { node, value, change } = props;
  const [text, setText] = useState(value === undefined || value === null ? '' : String(value));
  useEffect(() => {
    // What was typed stays as it was typed, until the value is another one.
    setText(before => (same(parsed(before), value ?? undefined) ? before : String(value ?? '')));
  }, [value]);
  return (
    <input
      {...props.about}
      type="text"
      inputMode={node.kind === 'integer' ? 'numeric' : 'decimal'}
      placeholder={placeholder(node)}
      value={text}
      onChange={event => {
        setText(event.target.value);
        change(parsed(event.target.value));
      }}
    />
  );
}

/** A number; what is none stays text, for the server to say what is wrong with it. */
function parsed(text: string): unknown {
  const trimmed = text.trim();
  if (!trimmed) {
    return undefined;
  }
  const value = Number(trimmed);
  return Number.isFinite(value) ? value : trimmed;
}

function Choice(props: IInputProps): JSX.Element {
  const { node, value, change } = props;
  const unset = node.default === undefined || node.default === null ? '' : ` (${String(node.default)})`;
  return (
    <select
      {...props.about}
      value={node.options.findIndex(option => same(option, value))}
      onChange={event => change(node.options[Number(event.target.value)])}
    >
      <option value={-1}>
        {node.default === undefined && props.required ? 'choose …' : `default${printable(unset)}`}
      </option>
      {node.options.map((option, i) => (
        <option key={i} value={i}>
          {printable(String(option))}
        </option>
      ))}
    </select>
  );
}

/** A group of values: nothing, so that the default holds, or values of its own. */
function Optional(
  props: IInputProps & { part: (props: IInputProps) => JSX.Element }
): JSX.Element {
  const { node, value, change, part: Part } = props;
  const needed = props.required && node.kind === 'object' && !node.nullable;
  // What may be nothing may be written as an object without fields, too, until it is opened.
  const [opened, setOpened] = useState(false);
  const empty = node.nullable && !opened && isObject(value) && !Object.keys(value).length;
  if (value === undefined || value === null || empty) {
    if (needed) {
      return <Part {...props} />;
    }
    const held =
      node.default === undefined || node.default === null
        ? 'Nothing is given.'
        : `Default: ${printable(JSON.stringify(node.default))}`;
    return (
      <div className="fj-item">
        <span className="fj-soft">{held}</span>
        <SmallButton
          label="Set"
          what={props.name}
          action={() => {
            setOpened(true);
            change(beginning(node.schema, node.root) ?? (node.kind === 'list' ? [] : {}));
          }}
        />
      </div>
    );
  }
  return (
    <>
      <Part {...props} />
      {!needed && (
        <div>
          <SmallButton
            label={node.default === undefined ? 'Remove' : 'Use the default'}
            what={props.name}
            action={() => {
              setOpened(false);
              change(props.required && node.nullable ? null : undefined);
            }}
          />
        </div>
      )}
    </>
  );
}

function Nested(props: IInputProps): JSX.Element {
  return (
    <div className="fj-nest">
      <Fields {...props} />
    </div>
  );
}

function List(props: IInputProps): JSX.Element {
  const { node, path, change, problems } = props;
  const items = Array.isArray(props.value) ? props.value : [];
  const fixed = fixedItemsOf(node).length;
  const most = (node.schema.maxItems as number | undefined) ?? Infinity;
  const replaced = (position: number, item: unknown) =>
    items.map((old, i) => (i === position ? item ?? null : old));
  return (
    <div className="fj-nest">
      {items.map((item, i) => (
        <div key={i} className="fj-item">
          <div className="fj-grown">
            <Field
              node={{ ...makeNode(itemOf(node, i), node.root), default: undefined }}
              name={`${i + 1}`}
              path={`${path}[${i}]`}
              value={item ?? undefined}
              change={value => change(replaced(i, value))}
              problems={problems}
            />
          </div>
          {i >= fixed && (
            <SmallButton
              label="Remove"
              what={`${props.name} ${i + 1}`}
              action={() => change(items.filter((_, other) => other !== i))}
            />
          )}
        </div>
      ))}
      {items.length < most && itemOf(node, items.length) !== undefined && (
        <div>
          <SmallButton
            label="Add"
            what={props.name}
            action={() =>
              change([...items, beginning(itemOf(node, items.length), node.root) ?? null])
            }
          />
        </div>
      )}
    </div>
  );
}

function Dictionary(props: IInputProps): JSX.Element {
  const { node, path, change, problems } = props;
  const entries = Object.entries(isObject(props.value) ? props.value : {});
  const [name, setName] = useState('');
  const taken = entries.some(([other]) => other === name);
  const names = nameOf(node);
  const label = `Name of a new entry of ${printable(props.name)}`;
  const add = () => {
    if (name && !taken) {
      change({ ...Object.fromEntries(entries), [name]: beginning(entryOf(node), node.root) ?? null });
      setName('');
    }
  };
  return (
    <div className="fj-nest">
      {entries.map(([key, item]) => (
        <div key={key} className="fj-item">
          <div className="fj-grown">
            <Field
              node={{ ...makeNode(entryOf(node), node.root), title: '', default: undefined }}
              name={key}
              path={childPath(path, key)}
              value={item ?? undefined}
              change={value => change({ ...Object.fromEntries(entries), [key]: value ?? null })}
              problems={problems}
            />
          </div>
          <SmallButton
            label="Remove"
            what={key}
            action={() => change(Object.fromEntries(entries.filter(([other]) => other !== key)))}
          />
        </div>
      ))}
      <div className="fj-item">
        {names.options.length ? (
          <select aria-label={label} value={name} onChange={event => setName(event.target.value)}>
            <option value="">choose …</option>
            {names.options.map(String).map(
              option =>
                !entries.some(([other]) => other === option) && (
                  <option key={option} value={option}>
                    {printable(option)}
                  </option>
                )
            )}
          </select>
        ) : (
          <input
            type="text"
            placeholder={printable(names.title) || `new entry of ${printable(node.title || props.name)}`}
            aria-label={label}
            value={name}
            onChange={event => setName(event.target.value)}
            onKeyDown={event => event.key === 'Enter' && add()}
          />
        )}
        <SmallButton label="Add" what={props.name} action={add} disabled={!name || taken} />
      </div>
    </div>
  );
}

function Union(props: IInputProps): JSX.Element {
  const { node, value, change } = props;
  const [chosen, setChosen] = useState(-1);
  const found = alternativeOf(node, value);
  // What is typed may fit several alternatives, or none yet: the one that was chosen counts.
  const at = value === undefined && chosen < 0 ? -1 : chosen >= 0 ? chosen : found;
  useEffect(() => {
    if (node.tag !== null && found >= 0 && found !== chosen) {
      setChosen(found);
    }
  }, [found]);
  const choose = (position: number) => {
    setChosen(position);
    if (position < 0) {
      change(undefined);
      return;
    }
    const branch = node.alternatives[position];
    const begun = beginning(branch, node.root);
    const tag = tagValue(node, branch);
    change(
      node.tag !== null && tag !== undefined
        ? { ...(isObject(begun) ? begun : {}), [node.tag]: tag }
        : begun
    );
  };
  const unset =
    node.default === undefined
      ? 'choose …'
      : node.default === null
        ? 'default (none)'
        : `default (${printable(JSON.stringify(node.default))})`;
  const inner = at >= 0 ? makeNode(node.alternatives[at], node.root) : null;
  return (
    <>
      <select
        {...props.about}
        aria-label={`Kind of ${printable(props.name)}`}
        value={at}
        onChange={event => choose(Number(event.target.value))}
      >
        <option value={-1}>{unset}</option>
        {alternativeNames(node).map((name, i) => (
          <option key={i} value={i}>
            {printable(name)}
          </option>
        ))}
      </select>
      {inner?.kind === 'object' ? (
        <Nested {...props} node={inner} hidden={node.tag === null ? [] : [node.tag]} />
      ) : inner && inner.kind !== 'constant' ? (
        <Input
          {...props}
          node={{ ...inner, default: undefined }}
          about={{ id: `${props.about.id}-value`, 'aria-label': printable(props.name) }}
        />
      ) : null}
    </>
  );
}

/** A value that the schema says nothing of, as JSON. */
function AnyJson(props: IInputProps): JSX.Element {
  const { value, change } = props;
  const [text, setText] = useState(value === undefined ? '' : JSON.stringify(value));
  return (
    <input
      {...props.about}
      type="text"
      placeholder={placeholder(props.node) ?? 'JSON, or text'}
      value={text}
      onChange={event => {
        setText(event.target.value);
        change(fromJson(event.target.value));
      }}
    />
  );
}

function fromJson(text: string): unknown {
  if (!text.trim()) {
    return undefined;
  }
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function SmallButton(props: {
  label: string;
  what: string;
  action: () => void;
  disabled?: boolean;
}): JSX.Element {
  return (
    <button
      type="button"
      className="fj-button"
      aria-label={`${props.label}: ${printable(props.what)}`}
      disabled={props.disabled}
      onClick={props.action}
    >
      {props.label}
    </button>
  );
}
