/** A task: its arguments as a form, what would run, and submitting it on a dataset. */

import React from 'react';

import { ITask, Json } from './api';
import { Form } from './form';
import { IFilled, useFractal } from './fractal';
import { useFetched } from './live';
import { Facts, Problem, Prose } from './parts';
import { useFilled, useSubmission } from './submit';
import { groupName, printable, typesWords } from './words';

/** Arguments that only Fractal gives to a task. */
export const RESERVED = ['zarr_url', 'zarr_urls', 'zarr_dir', 'init_args'];

export type Part = 'non_parallel' | 'parallel';
export const PARTS: [Part, string][] = [
  ['non_parallel', 'Once, at the start'],
  ['parallel', 'For each image']
];

interface IKept {
  /** What was filled in before. */
  filled: IFilled | undefined;
  /** Told of what is filled in, so that it is there again after a reload. */
  keep: (filled: IFilled) => void;
}

export function TaskView(props: IKept & { id: number }): JSX.Element {
  const { api, changes } = useFractal();
  const { value: task, error } = useFetched(
    changes,
    { kinds: ['task_group'] },
    () => api.task(props.id),
    [props.id]
  );
  return (
    <div className="fj-view">
      <Problem text={error} />
      {task && <TaskForm {...props} task={task} />}
    </div>
  );
}

function TaskForm(props: IKept & { task: ITask }): JSX.Element {
  const { task } = props;
  const filling = useFilled(props);
  const args = (part: Part) => filling.filled.args?.[part] ?? {};
  const given = partsOf(task);
  const submitting = useSubmission(
    {
      task_id: task.id,
      ...Object.fromEntries(given.map(({ part }) => [`args_${part}`, args(part)]))
    },
    filling
  );
  return (
    <>
      <div className="fj-head">
        <h1>{printable(task.name)}</h1>
        <p className="fj-soft">
          {printable([task.package, task.version, task.category, task.modality].filter(Boolean).join(' · '))}
        </p>
        <About task={task} />
        <AboutTask task={task} />
      </div>
      {submitting.where}
      {given.map(({ part, title, schema }) => (
        <section key={part} aria-label={`Arguments: ${title}`}>
          <h2>{given.length > 1 ? title : 'Arguments'}</h2>
          <Form
            schema={schema}
            path={`args_${part}`}
            value={args(part)}
            change={value => filling.fill(({ args }) => ({ args: { ...args, [part]: value } }))}
            problems={submitting.refused?.fields ?? []}
            hidden={RESERVED}
          />
        </section>
      ))}
      {!given.length && <p>This task takes no arguments.</p>}
      {submitting.actions}
    </>
  );
}

/** What images it takes and gives, its tags, and other versions of it where it was collected. */
function AboutTask(props: { task: ITask }): JSX.Element {
  const { open } = useFractal();
  const { task } = props;
  const others = task.versions.filter(
    one => one.active && one.resource_id === task.resource_id && one.task_id !== task.id
  );
  return (
    <Facts
      label="About this task"
      facts={[
        ['Kind', task.type.replace(/_/g, ' ')],
        ['Takes images that are', typesWords(task.input_types)],
        ['Makes them', typesWords(task.output_types)],
        ['Tags', task.tags.join(', ')],
        [
          'Task group',
          <button
            type="button"
            className="fj-button"
            onClick={() =>
              open({ view: 'task_group', id: task.task_group_id, title: groupName(task) })
            }
          >
            {printable(groupName(task))}
          </button>
        ],
        [
          'Other versions',
          others.length > 0 &&
            others.map(one => (
              <button
                key={one.task_id}
                type="button"
                className="fj-button"
                onClick={() => open({ view: 'task', id: one.task_id, title: task.name })}
              >
                {printable(`${one.version ?? 'no version'} (Python ${one.python_version})`)}
              </button>
            ))
        ]
      ]}
    />
  );
}

/** The parts of a task that take arguments. */
export function partsOf(task: ITask): { part: Part; title: string; schema: Json }[] {
  return PARTS.flatMap(([part, title]) => {
    const schema = task[`args_schema_${part}`];
    return schema && hasFields(schema) ? [{ part, title, schema }] : [];
  });
}

function hasFields(schema: Json): boolean {
  return Object.keys((schema.properties as Json) ?? {}).some(name => !RESERVED.includes(name));
}

function About(props: { task: ITask }): JSX.Element {
  const { docs_info, docs_link } = props.task;
  const isWeb = /^https?:\/\//i.test(docs_link ?? '');
  return (
    <>
      {docs_info && <Prose text={docs_info} />}
      {isWeb && (
        <a href={docs_link!} target="_blank" rel="noopener noreferrer">
          Documentation
        </a>
      )}
    </>
  );
}
