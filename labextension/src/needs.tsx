/** What units need, where it counts: what is asked for most, and the rest folded. */

import React from 'react';

import { IFieldProblem, IResource, Json } from './api';
import { Form } from './form';
import { useFractal } from './fractal';
import { useFetched } from './live';
import { Problem } from './parts';

/** How units are packed takes both numbers, so they stand together. */
const MOST_WANTED = [
  'mem',
  'cpus_per_task',
  'time',
  'tasks_per_job',
  'parallel_tasks_per_job'
];
/** All else is for a scheduler, and would do nothing here. */
const ON_THIS_MACHINE = ['cpus_per_task', 'needs_gpu'];

/** @param props.kind - That of the resource. */
export function Needs(props: {
  kind: IResource['type'];
  value: Json;
  change: (meta: Json) => void;
  problems: IFieldProblem[];
}): JSX.Element {
  const { api, changes } = useFractal();
  const { value: schemas, error } = useFetched(changes, { kinds: [] }, api.schemas, []);
  const fields = Object.keys((schemas?.meta.properties as Json | undefined) ?? {});
  const { kind, ...rest } = props;
  const here = kind === 'local';
  const first = here ? ON_THIS_MACHINE : MOST_WANTED;
  const form = (hidden: string[]) => (
    <Form schema={schemas!.meta} path="meta" {...rest} hidden={hidden} />
  );
  return (
    <div className="fj-needs">
      <Problem text={error} />
      {schemas && form(fields.filter(name => !first.includes(name)))}
      {schemas && !here && (
        <details>
          <summary>More</summary>
          {form(MOST_WANTED)}
        </details>
      )}
    </div>
  );
}
