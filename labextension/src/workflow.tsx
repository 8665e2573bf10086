/** A workflow: its steps with their arguments, in the order in which they run. */

import { Dialog, showDialog } from '@jupyterlab/apputils';
import React, { useEffect, useId, useRef, useState } from 'react';

import { IFieldProblem, ITaskSummary, IWorkflow, Json } from './api';
import { Elsewhere, IRefusal, refusalOf, useDraft } from './draft';
import { Form } from './form';
import { IFilled, IFrame, useFractal } from './fractal';
import { JsonText } from './json';
import { useFetched } from './live';
import { Needs } from './needs';
import { ActionButton, Problem } from './parts';
import { useProfiles } from './profile';
import { isObject, same } from './schema';
import { argumentsOf, withArguments } from './step';
import { useFilled, useSubmission } from './submit';
import { RESERVED, partsOf } from './task';
import { Others, otherVersions, Update } from './update';
import { printable } from './words';

interface IContent {
  name: string;
  steps: Json[];
}

const NOTHING: IContent = { name: '', steps: [] };

/**
 * @param props.id - None for a new one.
 * @param props.filled - What was filled in before of its submission; `keep` is told of that.
 */
export function WorkflowView(props: {
  id: number | undefined;
  frame: IFrame;
  filled: IFilled | undefined;
  keep: (filled: IFilled) => void;
}): JSX.Element {
  const { api, changes } = useFractal();
  const { frame } = props;
  const [id, setId] = useState(props.id);
  const [broken, setBroken] = useState<string | null>(null);
  const [refused, setRefused] = useState<IRefusal | null>(null);
  const { value, error } = useFetched(changes, { kinds: ['workflow'] }, api.workflows, []);
  const found = value?.find(one => one.id === id);
  const known = useRef(props.id !== undefined);
  known.current = known.current || found !== undefined;
  const gone = value !== undefined && id !== undefined && !found && known.current;
  const stored = id === undefined ? NOTHING : found && { name: found.name, steps: found.steps };
  const draft = useDraft<IContent>(stored, frame);
  const { active } = useProfiles();
  const updates = useFetched(
    changes,
    { kinds: ['workflow', 'task_group'] },
    async () => (id === undefined ? [] : api.updates(id, active?.id)),
    [id, active?.id]
  );
  const unsaved = id === undefined || !draft || draft.dirty || broken !== null || gone;
  const filling = useFilled(props);
  const submitting = useSubmission({ workflow_id: id }, filling, unsaved ? 'Save it first.' : null);
  if (!draft) {
    return (
      <div className="fj-view">
        <Problem text={error ?? (gone ? 'There is no such workflow any more.' : null)} />
      </div>
    );
  }
  const { name, steps } = draft.value;
  const change = (changed: Json[]) => draft.change({ name, steps: changed });

  const save = async () => {
    setRefused(null);
    try {
      const now = await (id === undefined
        ? api.addWorkflow(name, steps)
        : api.changeWorkflow(id, steps));
      draft.take({ name: now.name, steps: now.steps });
      setId(now.id);
      frame.setView({
        view: 'workflow',
        id: now.id,
        filled: filling.filled,
        title: now.name
      });
      changes.everything();
    } catch (reason) {
      setRefused(refusalOf(reason));
    }
  };
  const remove = async () => {
    const answer = await showDialog({
      title: 'Remove this workflow?',
      body: 'Jobs that were submitted keep what they were submitted with.',
      buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: 'Remove' })]
    });
    if (answer.button.accept) {
      await api.remove('workflow', id!);
      changes.everything();
      frame.discard();
    }
  };

  const fields = [...(refused?.fields ?? []), ...(submitting.refused?.fields ?? [])];
  return (
    <div className="fj-view">
      <div className="fj-head">
        <div className="fj-line">
          <h1>{id === undefined ? 'New workflow' : printable(name)}</h1>
          <span className="fj-actions">
            {/* where nothing stood before the first "Save" */}
            {id !== undefined && <ActionButton danger label="Remove…" disabled={gone} action={remove} />}
            <ActionButton
              main={unsaved}
              label="Save"
              disabled={
                !draft.dirty || !name || !steps.length || broken !== null || gone || draft.elsewhere !== null
              }
              action={save}
            />
          </span>
        </div>
        <p role="status">{draft.dirty ? 'Not saved yet.' : ''}</p>
      </div>
      <Elsewhere draft={draft} noun="workflow" />
      <Problem text={gone ? 'This workflow was removed elsewhere.' : error} />
      <Problem text={refused?.message} />
      {id === undefined && <Name value={name} change={to => draft.change({ name: to, steps })} />}
      <Steps
        steps={steps}
        change={change}
        problems={fields}
        update={(step, position, tasks) => {
          const newer = updates.value?.find(one => same(found?.steps[one.position], step));
          const others = otherVersions(step, tasks, [newer?.version]);
          const about = {
            workflow: id!,
            step,
            first: unsaved ? 'Save the workflow first.' : null,
            updated: (now: IWorkflow) => draft.take({ name: now.name, steps: now.steps })
          };
          return (
            <>
              {newer && <Update key={newer.version} {...about} newer={newer} />}
              {id !== undefined && others.length > 0 && (
                <Others {...about} position={position} versions={others} />
              )}
            </>
          );
        }}
      />
      <details className="fj-fold">
        <summary>The steps as JSON</summary>
        <JsonText
          value={{ steps }}
          readOnly={false}
          change={document => change(Array.isArray(document.steps) ? document.steps.filter(isObject) : [])}
          broken={setBroken}
        />
      </details>
      {submitting.where}
      {submitting.actions}
    </div>
  );
}

function Name(props: { value: string; change: (value: string) => void }): JSX.Element {
  const id = useId();
  return (
    <div className="fj-field">
      <label htmlFor={id}>Name (required)</label>
      <input
        id={id}
        type="text"
        aria-required
        value={props.value}
        onChange={event => props.change(event.target.value)}
      />
    </div>
  );
}

function Steps(props: {
  steps: Json[];
  change: (steps: Json[]) => void;
  problems: IFieldProblem[];
  /** What there is to say of other versions of a step's task, which are among `tasks`. */
  update: (step: Json, position: number, tasks: ITaskSummary[]) => JSX.Element;
}): JSX.Element {
  const { api, changes } = useFractal();
  const { active } = useProfiles();
  const { value, error } = useFetched(
    changes,
    { kinds: ['task_group'] },
    async () => {
      const [groups, tasks] = await Promise.all([api.taskGroups(), api.tasks()]);
      const usable = new Set(groups.filter(group => group.active).map(group => group.id));
      return tasks.filter(task => usable.has(task.task_group_id));
    },
    []
  );
  const tasks = value?.filter(task => !active || task.resource_id === active.resource_id);
  const { steps, change } = props;
  // A step keeps what is folded and half typed in it wherever it is moved to.
  const keys = useRef<number[]>([]);
  const made = useRef(0);
  while (keys.current.length < steps.length) {
    keys.current.push(made.current++);
  }
  keys.current.length = steps.length;

  // A step that was moved keeps the focus, and after one was removed the list has it.
  const list = useRef<HTMLOListElement>(null);
  const next = useRef<(() => void) | null>(null);
  useEffect(() => {
    next.current?.();
    next.current = null;
  });
  const swap = (one: number, other: number) => {
    const swapped = <T,>(all: T[]) =>
      all.map((item, i) => (i === one ? all[other] : i === other ? all[one] : item));
    keys.current = swapped(keys.current);
    const button = document.activeElement as HTMLButtonElement;
    next.current = () => (button.disabled ? button.closest('li') : button)?.focus();
    change(swapped(steps));
  };
  const remove = (position: number) => {
    keys.current = keys.current.filter((_, i) => i !== position);
    next.current = () => list.current?.focus();
    change(steps.filter((_, i) => i !== position));
  };
  return (
    <section aria-label="Steps">
      <h2>Steps</h2>
      <Problem text={error} />
      {!steps.length && <p className="fj-hint">No steps yet. Add the task that runs first.</p>}
      <ol ref={list} className="fj-workflow-steps" tabIndex={-1} aria-label="Steps">
        {steps.map((step, position) => (
          <li key={keys.current[position]} tabIndex={-1}>
            <Step
              step={step}
              position={position}
              last={position === steps.length - 1}
              tasks={tasks}
              problems={props.problems}
              change={changed => change(steps.map((old, i) => (i === position ? changed : old)))}
              move={by => swap(position, position + by)}
              remove={() => remove(position)}
            />
            {props.update(step, position, tasks ?? [])}
          </li>
        ))}
      </ol>
      <AddStep tasks={tasks ?? []} add={step => change([...steps, step])} />
    </section>
  );
}

function AddStep(props: { tasks: ITaskSummary[]; add: (step: Json) => void }): JSX.Element {
  const [chosen, setChosen] = useState('');
  const task = props.tasks.find(one => String(one.id) === chosen);
  const packages = [...new Set(props.tasks.map(packageOf))];
  return (
    <div className="fj-bar">
      <label className="fj-choice">
        Task
        <select value={task ? chosen : ''} onChange={event => setChosen(event.target.value)}>
          <option value="" disabled>
            choose …
          </option>
          {packages.map(name => (
            <optgroup key={name} label={name}>
              {props.tasks
                .filter(one => packageOf(one) === name)
                .map(one => (
                  <option key={one.id} value={one.id}>
                    {nameAmong(props.tasks, one)}
                  </option>
                ))}
            </optgroup>
          ))}
        </select>
      </label>
      <button
        type="button"
        className="fj-button"
        disabled={!task}
        onClick={() => {
          const { name, package: from, version } = task!;
          props.add({ task: name, package: from, ...(version === null ? {} : { version }) });
        }}
      >
        Add step
      </button>
    </div>
  );
}

/** What tells a task from all others: the group that it stands in is not seen once it is chosen. */
function nameAmong(tasks: ITaskSummary[], task: ITaskSummary): string {
  const alike = tasks.filter(one => one.name === task.name);
  return printable(task.name) + (alike.length > 1 ? ` (${packageOf(task)})` : '');
}

function packageOf(task: ITaskSummary): string {
  return printable(`${task.package} ${task.version ?? ''}`);
}

function Step(props: {
  step: Json;
  position: number;
  last: boolean;
  /** The tasks that the profile has; undefined until they are known. */
  tasks: ITaskSummary[] | undefined;
  problems: IFieldProblem[];
  change: (step: Json) => void;
  move: (by: -1 | 1) => void;
  remove: () => void;
}): JSX.Element {
  const { step, position, tasks } = props;
  const name = printable(String(step.task));
  const task = tasks?.find(
    one =>
      one.name === step.task &&
      (step.package === undefined || step.package === one.package) &&
      (step.version === undefined || step.version === one.version)
  );
  const about = [step.package, step.version].filter(Boolean).join(' ');
  const label = `step ${position}, ${name}`;
  return (
    <>
      <div className="fj-line">
        <h3>
          {`${position}: ${name}`}
          <span className="fj-soft">{about && printable(` ${about}`)}</span>
        </h3>
        <button
          type="button"
          className="fj-button"
          aria-label={`Move up: ${label}`}
          disabled={position === 0}
          onClick={() => props.move(-1)}
        >
          Up
        </button>
        <button
          type="button"
          className="fj-button"
          aria-label={`Move down: ${label}`}
          disabled={props.last}
          onClick={() => props.move(1)}
        >
          Down
        </button>
        <button
          type="button"
          className="fj-button"
          aria-label={`Remove: ${label}`}
          onClick={props.remove}
        >
          Remove
        </button>
      </div>
      {tasks && !task && <p className="fj-soft">This task is not collected for the profile.</p>}
      {task && <Arguments {...props} task={task.id} />}
      <StepNeeds {...props} />
    </>
  );
}

interface IStepProps {
  step: Json;
  position: number;
  problems: IFieldProblem[];
  change: (step: Json) => void;
}

function Arguments(props: IStepProps & { task: number }): JSX.Element {
  const { api, changes } = useFractal();
  const { step, position, change } = props;
  const { value: task, error } = useFetched(
    changes,
    { kinds: ['task_group'] },
    () => api.task(props.task),
    [props.task]
  );
  const parts = task ? partsOf(task) : [];
  const { given, others } = argumentsOf(step, parts);
  return (
    <details>
      <summary>Arguments</summary>
      <Problem text={error} />
      {task && !parts.length && <p className="fj-soft">This task takes no arguments.</p>}
      {parts.map(({ part, title, schema }) => (
        <section key={part} aria-label={`Arguments of step ${position}: ${title}`}>
          {parts.length > 1 && <h4>{title}</h4>}
          <Form
            schema={schema}
            path={`steps[${position}].args_${part}`}
            value={given[`args_${part}`]}
            change={value => change(withArguments(step, others, { ...given, [`args_${part}`]: value }))}
            problems={props.problems}
            hidden={RESERVED}
          />
        </section>
      ))}
    </details>
  );
}

function StepNeeds(props: IStepProps): JSX.Element {
  const { step, position, change } = props;
  return (
    <details>
      <summary>Memory, processors, time</summary>
      <Needs
        path={`steps[${position}].meta`}
        value={isObject(step.meta) ? step.meta : {}}
        change={meta => {
          const { meta: _, ...rest } = step;
          change(Object.keys(meta).length ? { ...rest, meta } : rest);
        }}
        problems={props.problems}
      />
    </details>
  );
}
