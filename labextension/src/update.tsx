/** A newer version of a step's task: what differs, what no longer fits, and mending it in place. */

import React, { useState } from 'react';

import { IFieldProblem, IStepUpdate, ITask, IUpdate, IWorkflow, Json } from './api';
import { IRefusal, refusalOf } from './draft';
import { Form } from './form';
import { useFractal } from './fractal';
import { useFetched } from './live';
import { ActionButton, Problem } from './parts';
import { isObject } from './schema';
import { argumentsOf } from './step';
import { PARTS, RESERVED, partsOf } from './task';
import { counted, printable, typesWords } from './words';

interface IUpdateProps {
  workflow: number;
  /** The step as it is stored. */
  step: Json;
  newer: IUpdate;
  /** What has to be done before it can be updated, in words. */
  first: string | null;
  updated: (workflow: IWorkflow) => void;
}

export function Update(props: IUpdateProps): JSX.Element {
  const { newer, first } = props;
  const [opened, setOpened] = useState(false);
  const version = printable(newer.version);
  const label = `step ${newer.position}, ${printable(newer.task)}`;
  const fits = newer.problems.length
    ? `${counted(newer.problems.length, 'thing')} in this step would not fit.`
    : 'This step would fit as it is.';
  return (
    <section className="fj-update" aria-label={`Newer version: ${label}`}>
      <div className="fj-line">
        <span>{`Version ${version} is collected. ${fits}`}</span>
        <button
          type="button"
          className="fj-button"
          aria-label={`Update to ${version}: ${label}`}
          aria-expanded={opened}
          disabled={first !== null}
          title={first ?? undefined}
          onClick={() => setOpened(!opened)}
        >
          {`Update to ${version}…`}
        </button>
      </div>
      {opened && first === null && <Mending {...props} close={() => setOpened(false)} />}
    </section>
  );
}

/** What differs and what does not fit; once the task is known, the form to mend it. */
function Mending(props: IUpdateProps & { close: () => void }): JSX.Element {
  const { api, changes } = useFractal();
  const { newer } = props;
  const { value: task, error } = useFetched(
    changes,
    { kinds: ['task_group'] },
    () => api.task(newer.task_id),
    [newer.task_id]
  );
  return (
    <>
      <Differences newer={newer} />
      <Problem text={error} />
      {task && <Mended {...props} task={task} />}
    </>
  );
}

function Differences(props: { newer: IUpdate }): JSX.Element {
  const { changes, problems } = props.newer;
  return (
    <>
      {problems.length > 0 && <h4>What no longer fits</h4>}
      <ul className="fj-differences" aria-label="What no longer fits">
        {problems.map(problem => (
          <li key={problem.path + problem.allowed}>
            <code>{printable(problem.path)}</code>
            {printable(`: found ${problem.found}; allowed: ${problem.allowed}`)}
          </li>
        ))}
      </ul>
      {changes.length > 0 && <h4>What the task does differently</h4>}
      <ul className="fj-differences" aria-label="What the task does differently">
        {changes.map(change => (
          <li key={change.what}>
            <code>{printable(change.what)}</code>
            {printable(`: ${said(change.before)} → ${said(change.after)}`)}
          </li>
        ))}
      </ul>
    </>
  );
}

/** A value of a task, or the types that it asks for, in words. */
function said(value: unknown): string {
  if (isObject(value) && Object.values(value).every(flag => typeof flag === 'boolean')) {
    return typesWords(value as Record<string, boolean>) || 'any';
  }
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function Mended(props: IUpdateProps & { task: ITask; close: () => void }): JSX.Element {
  const { api, changes } = useFractal();
  const { workflow, step, newer, task } = props;
  const parts = partsOf(task);
  const [args, setArgs] = useState(() => fitting(step, task));
  const [touched, setTouched] = useState(newer.problems.some(isOfArguments));
  const [unfiltered, setUnfiltered] = useState(false);
  const [refused, setRefused] = useState<IRefusal | null>(null);
  const body: IStepUpdate = {
    step: newer.position,
    version: newer.version,
    known: step,
    ...(touched ? { ...args, args: {} } : {}),
    ...(unfiltered ? { type_filters: {} } : {})
  };
  const plan = useFetched(
    changes,
    { kinds: ['task_group'] },
    () => api.planUpdate(workflow, body),
    [JSON.stringify(body)]
  );
  const problems = plan.value?.problems ?? [];
  const filters = newer.problems.some(problem => !isOfArguments(problem));
  const update = async () => {
    setRefused(null);
    try {
      props.updated(await api.updateStep(workflow, body));
      changes.everything();
    } catch (reason) {
      setRefused(refusalOf(reason));
    }
  };
  return (
    <>
      {newer.problems.some(isOfArguments) && parts.length > 0 && (
        <p className="fj-hint">What fits is filled in below; say there what you need of the rest.</p>
      )}
      {filters && (
        <label>
          <input
            type="checkbox"
            checked={unfiltered}
            onChange={event => setUnfiltered(event.target.checked)}
          />
          {' Without the type filters of this step'}
        </label>
      )}
      {parts.map(({ part, title, schema }) => (
        <section key={part} aria-label={`New arguments of step ${newer.position}: ${title}`}>
          <h4>{parts.length > 1 ? `New arguments: ${title}` : 'New arguments'}</h4>
          <Form
            schema={schema}
            path={`args_${part}`}
            value={args[`args_${part}`]}
            change={value => {
              setArgs(before => ({ ...before, [`args_${part}`]: value }));
              setTouched(true);
            }}
            problems={problems}
            hidden={RESERVED}
          />
        </section>
      ))}
      <Problem text={plan.error ?? refused?.message} />
      <div className="fj-actions fj-mod-start">
        <ActionButton
          main
          label={`Update to ${printable(newer.version)}`}
          disabled={!plan.value || problems.length > 0}
          action={update}
        />
        <button type="button" className="fj-button" onClick={props.close}>
          Leave it
        </button>
        <span role="status">
          {problems.length > 0 && `${counted(problems.length, 'thing')} left to change.`}
        </span>
      </div>
    </>
  );
}

function isOfArguments(problem: IFieldProblem): boolean {
  return problem.path.startsWith('args');
}

/** The arguments of a step, part by part, without those that a schema has no place for. */
function fitting(step: Json, task: ITask): Record<string, Json> {
  const parts = partsOf(task);
  const { given } = argumentsOf(step, parts);
  const kept = parts.map(({ part, schema }): [string, Json] => {
    const names = (schema.properties as Json) ?? {};
    const all = Object.entries(given[`args_${part}`]);
    const closed = schema.additionalProperties === false;
    return [`args_${part}`, Object.fromEntries(all.filter(([name]) => !closed || name in names))];
  });
  // a part that takes no arguments any more has to lose those that it has
  const none = PARTS.filter(([part]) => task[`args_schema_${part}`]).map(
    ([part]): [string, Json] => [`args_${part}`, {}]
  );
  return Object.fromEntries([...none, ...kept]);
}
