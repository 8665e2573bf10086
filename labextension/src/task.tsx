/** A task: its arguments as a form, what would run, and submitting it on a dataset. */

import React, { useState } from 'react';

import { ApiError, IDataset, IFieldProblem, IPlan, ISubmission, ITask, Json } from './api';
import { NewDataset } from './dataset';
import { Form } from './form';
import { useFractal } from './fractal';
import { messageOf, useFetched } from './live';
import { ProfileChooser } from './panel';
import { ActionButton, Problem } from './parts';
import { useProfiles } from './profile';
import { counted, jobTitle, printable, printableLines } from './words';

/** Arguments that only Fractal gives to a task. */
const RESERVED = ['zarr_url', 'zarr_urls', 'zarr_dir', 'init_args'];

type Part = 'non_parallel' | 'parallel';
const PARTS: [Part, string][] = [
  ['non_parallel', 'Once, at the start'],
  ['parallel', 'For each image']
];

export function TaskView(props: { id: number }): JSX.Element {
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
      {task && <TaskForm task={task} />}
    </div>
  );
}

function TaskForm(props: { task: ITask }): JSX.Element {
  const { api, changes, open } = useFractal();
  const { task } = props;
  const { active } = useProfiles();
  const datasets = useFetched(changes, { kinds: ['dataset'] }, api.datasets, []);
  const [chosen, setChosen] = useState<number | null>(null);
  const [args, setArgs] = useState<Record<Part, Json>>({ non_parallel: {}, parallel: {} });
  const [plan, setPlan] = useState<IPlan | null>(null);
  const [refused, setRefused] = useState<{ message: string; fields: IFieldProblem[] } | null>(null);

  const all = datasets.value ?? [];
  const dataset = all.find(one => one.id === chosen) ?? (all.length === 1 ? all[0] : undefined);
  const parts = PARTS.map(([part, title]) => ({ part, title, schema: task[`args_schema_${part}`] }));
  const given = parts.filter(({ schema }) => schema && hasFields(schema));

  const attempt = async (act: (submission: ISubmission) => Promise<void>) => {
    setPlan(null);
    setRefused(null);
    try {
      const filled = given.map(({ part }) => [`args_${part}`, args[part]]);
      await act({
        task_id: task.id,
        dataset_id: dataset!.id,
        profile_id: active?.id,
        ...Object.fromEntries(filled)
      });
    } catch (reason) {
      const fields = reason instanceof ApiError ? reason.fields : [];
      setRefused({ message: messageOf(reason), fields });
    }
  };

  return (
    <>
      <div className="fj-head">
        <h1>{printable(task.name)}</h1>
        <p className="fj-soft">
          {printable([task.package, task.version, task.category, task.modality].filter(Boolean).join(' · '))}
        </p>
        <About task={task} />
      </div>
      <section className="fj-form" aria-label="Where to run">
        <ProfileChooser />
        <DatasetChooser
          datasets={all}
          error={datasets.error}
          chosen={dataset}
          choose={id => {
            setChosen(id);
            setPlan(null);
          }}
        />
      </section>
      {given.map(({ part, title, schema }) => (
        <section key={part} aria-label={`Arguments: ${title}`}>
          <h2>{given.length > 1 ? title : 'Arguments'}</h2>
          <Form
            schema={schema!}
            path={`args_${part}`}
            value={args[part]}
            change={value => setArgs(before => ({ ...before, [part]: value }))}
            problems={refused?.fields ?? []}
            hidden={RESERVED}
          />
        </section>
      ))}
      {!given.length && <p>This task takes no arguments.</p>}
      <div className="fj-actions fj-mod-start">
        <ActionButton
          main
          label="Submit"
          disabled={!dataset || !active}
          action={() =>
            attempt(async submission => {
              const job = await api.submit(submission);
              open({ view: 'job', id: job.id, title: jobTitle(job) });
            })
          }
        />
        <ActionButton
          label="Plan"
          title="Show what would run; runs nothing"
          disabled={!dataset || !active}
          action={() => attempt(async submission => setPlan(await api.plan(submission)))}
        />
        {!dataset && <span className="fj-soft">Choose a dataset first.</span>}
      </div>
      <Problem text={refused?.message} />
      {plan && <Plan plan={plan} />}
    </>
  );
}

function hasFields(schema: Json): boolean {
  return Object.keys((schema.properties as Json) ?? {}).some(name => !RESERVED.includes(name));
}

function About(props: { task: ITask }): JSX.Element {
  const { docs_info, docs_link } = props.task;
  const isWeb = /^https?:\/\//i.test(docs_link ?? '');
  return (
    <>
      {docs_info && <p className="fj-help">{printableLines(docs_info)}</p>}
      {isWeb && (
        <a href={docs_link!} target="_blank" rel="noopener noreferrer">
          Documentation
        </a>
      )}
    </>
  );
}

function DatasetChooser(props: {
  datasets: IDataset[];
  error: string | null;
  chosen: IDataset | undefined;
  choose: (id: number) => void;
}): JSX.Element {
  const [making, setMaking] = useState(false);
  const { chosen } = props;
  return (
    <>
      <div className="fj-bar">
        <label className="fj-choice">
          Dataset
          <select
            value={chosen?.id ?? ''}
            onChange={event => props.choose(Number(event.target.value))}
          >
            <option value="" disabled>
              choose …
            </option>
            {props.datasets.map(dataset => (
              <option key={dataset.id} value={dataset.id}>
                {printable(`${dataset.name} (${counted(dataset.images, 'image')})`)}
              </option>
            ))}
          </select>
        </label>
        <button
          type="button"
          className="fj-button"
          aria-expanded={making}
          onClick={() => setMaking(!making)}
        >
          New dataset…
        </button>
        {chosen && <span className="fj-soft">{printable(chosen.zarr_dir)}</span>}
      </div>
      <Problem text={props.error} />
      {making && (
        <NewDataset
          made={dataset => {
            props.choose(dataset.id);
            setMaking(false);
          }}
        />
      )}
    </>
  );
}

function Plan(props: { plan: IPlan }): JSX.Element {
  const unknown = 'as many as the step before leaves';
  const phaseWords = (phase: IPlan['steps'][0]['phases'][0]) =>
    phase.units === null
      ? `${phase.name.replace('_', ' ')}, ${unknown}`
      : counted(phase.units, 'unit') +
        (phase.batches ? ` in ${counted(phase.batches.length, 'batch', 'batches')}` : '');
  return (
    <section aria-label="Plan" role="status">
      <h2>This would run</h2>
      <ul>
        {props.plan.steps.map(step => (
          <li key={step.position}>
            {`${printable(step.task)} on ${step.images === null ? unknown : counted(step.images, 'image')}: `}
            {step.phases.map(phaseWords).join('; ')}
          </li>
        ))}
      </ul>
    </section>
  );
}
