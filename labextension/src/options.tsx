/** What else can be said of a submission: its name, filters of images, and what units need. */

import React, { useEffect, useState } from 'react';

import { IFieldProblem, IResource, Json } from './api';
import { IRefusal } from './draft';
import { Form } from './form';
import { Needs } from './needs';
import { isObject } from './schema';

type Kind = IResource['type'];

const ALWAYS: Json = {
  name: {
    type: 'string',
    title: 'Name of the job',
    description: 'What it is called in lists; as what is run, if it is not given.'
  },
  type_filters: {
    type: 'object',
    additionalProperties: { type: 'boolean', default: true },
    title: 'Types of images',
    description: 'Types that the images of the first step must have (true), or must not (false).'
  },
  attribute_filters: {
    type: 'object',
    additionalProperties: { type: 'array', items: {} },
    title: 'Attributes of images',
    description: 'Only images with one of these values are taken: of `well`, `B03` and `B04` say.'
  }
};
const LOCAL: Json = {
  memory_limit: {
    type: 'string',
    title: 'Memory limit',
    description: 'Most memory that a unit may use on this machine, such as `2G`.'
  }
};
const SLURM: Json = {
  account: { type: 'string', title: 'Account', description: 'The SLURM account that is charged.' },
  worker_init: {
    type: 'string',
    format: 'lines',
    title: 'Shell lines',
    description: 'They run in each SLURM job before the units, such as `module load cuda`.'
  }
};

function fieldsOf(kind: Kind | undefined): Json {
  return { ...ALWAYS, ...(kind === undefined ? {} : kind === 'local' ? LOCAL : SLURM) };
}

/** What of the options was filled in and is asked for where it is to run. */
export function filledIn(options: Json, kind: Kind | undefined, single: boolean): Json {
  const asked = [...Object.keys(fieldsOf(kind)), ...(single ? ['meta'] : [])];
  const isThere = (value: unknown) =>
    value !== undefined && !(isObject(value) && !Object.keys(value).length);
  return Object.fromEntries(
    Object.entries(options).filter(([name, value]) => asked.includes(name) && isThere(value))
  );
}

/** What was refused, said at the option that it begins with: `account='x' …`. */
export function atItsOption(refused: IRefusal, options: Json): IRefusal {
  const [, path] = /^(\w+)=/.exec(refused.message) ?? [];
  return refused.fields.length || path === undefined || !(path in options)
    ? refused
    : { ...refused, fields: [{ path, found: '', allowed: '', words: refused.message }] };
}

/**
 * @param props.kind - That of the resource; undefined until it is known.
 * @param props.single - Whether it is a single task, whose units may need something.
 */
export function Options(props: {
  kind: Kind | undefined;
  single: boolean;
  value: Json;
  change: (value: Json) => void;
  problems: IFieldProblem[];
}): JSX.Element {
  const { kind, single, value, change, problems } = props;
  const [opened, setOpened] = useState(false);
  const fields = fieldsOf(kind);
  const count = Object.keys(filledIn(value, kind, single)).length;
  const wrong = problems.some(({ path }) =>
    [...Object.keys(fields), 'meta'].includes(path.split(/[.[]/)[0])
  );
  useEffect(() => {
    if (wrong) {
      setOpened(true);
    }
  }, [problems]);
  return (
    <details
      className="fj-fold"
      open={opened}
      onToggle={event => setOpened(event.currentTarget.open)}
    >
      <summary>
        {'More options'}
        {count > 0 && <span className="fj-soft">{` (${count} filled in)`}</span>}
      </summary>
      {opened && (
        <>
          <Form
            schema={{ type: 'object', properties: fields }}
            path=""
            value={value}
            change={change}
            problems={problems}
            hidden={[]}
          />
          {single && kind && (
            <section aria-label="What units need">
              <h2>What units need</h2>
              <Needs
                kind={kind}
                value={isObject(value.meta) ? value.meta : {}}
                change={meta => change({ ...value, meta })}
                problems={problems}
              />
            </section>
          )}
        </>
      )}
    </details>
  );
}
