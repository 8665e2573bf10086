/** What units need: what is asked for most, and the rest folded. */

import React from 'react';

import { IFieldProblem, Json } from './api';
import { Form } from './form';
import { useFractal } from './fractal';
import { useFetched } from './live';
import { Problem } from './parts';

const MOST_WANTED = ['mem', 'cpus_per_task', 'parallel_tasks_per_job', 'time'];

export function Needs(props: {
  value: Json;
  change: (meta: Json) => void;
  problems: IFieldProblem[];
}): JSX.Element {
  const { api, changes } = useFractal();
  const { value: schemas, error } = useFetched(changes, { kinds: [] }, api.schemas, []);
  const fields = Object.keys((schemas?.meta.properties as Json | undefined) ?? {});
  const form = (hidden: string[]) => (
    <Form schema={schemas!.meta} path="meta" {...props} hidden={hidden} />
  );
  return (
    <>
      <Problem text={error} />
      {schemas && (
        <>
          {form(fields.filter(name => !MOST_WANTED.includes(name)))}
          <details>
            <summary>More</summary>
            {form(MOST_WANTED)}
          </details>
        </>
      )}
    </>
  );
}
