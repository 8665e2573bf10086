/** What units need, where it counts: what is asked for most, and the rest folded. */

import React, { useEffect, useState } from 'react';

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

/**
 * @param props.kind - That of the resource; undefined where it may be any.
 * @param props.path - What the server calls the fields that it refuses.
 */
export function Needs(props: {
  kind?: IResource['type'];
  path?: string;
  value: Json;
  change: (meta: Json) => void;
  problems: IFieldProblem[];
}): JSX.Element {
  const { api, changes } = useFractal();
  const { value: schemas, error } = useFetched(changes, { kinds: [] }, api.schemas, []);
  const fields = Object.keys((schemas?.meta.properties as Json | undefined) ?? {});
  const { kind, path = 'meta', ...rest } = props;
  const here = kind === 'local';
  const first = here ? ON_THIS_MACHINE : MOST_WANTED;
  const form = (hidden: string[]) => (
    <Form schema={schemas!.meta} path={path} {...rest} hidden={hidden} />
  );
  const [opened, setOpened] = useState(false);
  const folded = fields.filter(name => !first.includes(name)).map(name => `${path}.${name}`);
  const wrong = props.problems.some(problem =>
    folded.some(field => problem.path === field || problem.path.startsWith(`${field}[`))
  );
  useEffect(() => {
    if (wrong) {
      setOpened(true);
    }
  }, [props.problems]);
  return (
    <div className="fj-needs">
      <Problem text={error} />
      {schemas && form(fields.filter(name => !first.includes(name)))}
      {schemas && !here && (
        <details open={opened} onToggle={event => setOpened(event.currentTarget.open)}>
          <summary>More</summary>
          {form(MOST_WANTED)}
        </details>
      )}
    </div>
  );
}
