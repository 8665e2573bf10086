/** Other versions of a step's task: what differs, what no longer fits, and mending it in place. */

import React, { useState } from 'react';

import { IFieldProblem, IStepUpdate, ITask, ITaskSummary, IUpdate, IWorkflow, Json } from './api';
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
  return (
    <section className="fj-update" aria-label={`Newer version: ${label}`}>
      <div className="fj-line">
        <span>{`Version ${version} is collected. ${fitsInWords(newer)}`}</span>
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

interface IOthersProps extends Omit<IUpdateProps, 'newer'> {
  position: number;
  /** The versions to choose among. */
  versions: string[];
}

/** Any other version that is collected, an older one as well. */
export function Others(props: IOthersProps): JSX.Element {
  const { api, changes } = useFractal();
  const { workflow, step, position, versions, first } = props;
  const [chosen, setChosen] = useState('');
  const version = versions.includes(chosen) && first === null ? chosen : '';
  const { value, error } = useFetched(
    changes,
    { kinds: ['task_group'] },
    async () => (version ? api.planUpdate(workflow, { step: position, version, known: step }) : null),
    [version, JSON.stringify(step)]
  );
  const found = value?.version === version ? value : null;
  return (
    <section
      className="fj-update fj-mod-quiet"
      aria-label={`Other versions: step ${position}, ${printable(String(step.task))}`}
    >
      <label className="fj-choice">
        Other version
        <select
          value={version}
          disabled={first !== null}
          title={first ?? undefined}
          onChange={event => setChosen(event.target.value)}
        >
          <option value="">choose …</option>
          {versions.map(one => (
            <option key={one} value={one}>
              {printable(one)}
            </option>
          ))}
        </select>
      </label>
      <Problem text={version ? error : null} />
      {found && (
        <>
          <p>{fitsInWords(found)}</p>
          <Mending key={version} {...props} newer={found} close={() => setChosen('')} />
        </>
      )}
    </section>
  );
}

/** The versions of a step's task among tasks, the highest first, without those that are said. */
export function otherVersions(
  step: Json,
  tasks: ITaskSummary[],
  said: (string | undefined)[]
): string[] {
  const versions = tasks
    .filter(one => one.name === step.task && (step.package ?? one.package) === one.package)
    .map(one => one.version)
    .filter((one): one is string => one !== null);
  const all = [...new Set(versions)];
  const other = all.length > 1 || step.version !== undefined ? all : [];
  return other
    .filter(one => one !== step.version && !said.includes(one))
    .sort((one, two) => two.localeCompare(one, undefined, { numeric: true }));
}

function fitsInWords(update: IUpdate): string {
  return update.problems.length
    ? `${counted(update.problems.length, 'thing')} in this step would not fit.`
    : 'This step would fit as it is.';
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
