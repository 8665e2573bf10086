/** Where something is submitted, and what would run: the same for tasks and for workflows. */

import React, { useRef, useState } from 'react';

import { IPlan, IPlannedPhase, ISubmission } from './api';
import { DatasetChooser } from './dataset';
import { IRefusal, refusalOf } from './draft';
import { IFilled, useFractal } from './fractal';
import { useFetched } from './live';
import { Options, atItsOption, filledIn } from './options';
import { ProfileChooser } from './panel';
import { ActionButton, CodeCell, Problem } from './parts';
import { useProfiles } from './profile';
import { useReveal } from './reveal';
import { counted, jobTitle, printable, typesWords } from './words';

export interface ISubmitting {
  /** Chooses the profile and the dataset. */
  where: JSX.Element;
  /** Options, buttons, and what the server answers. */
  actions: JSX.Element;
  refused: IRefusal | null;
}

export interface IFilling {
  filled: IFilled;
  /** Fill in more, given what is filled in so far. */
  fill: (more: (before: IFilled) => IFilled) => void;
}

/** What is filled in, beginning with what was; `keep` is told of each change. */
export function useFilled(kept: {
  filled: IFilled | undefined;
  keep: (filled: IFilled) => void;
}): IFilling {
  const [filled, setFilled] = useState(kept.filled ?? {});
  const latest = useRef(filled);
  const fill = (more: (before: IFilled) => IFilled) => {
    latest.current = { ...latest.current, ...more(latest.current) };
    setFilled(latest.current);
    kept.keep(latest.current);
  };
  return { filled, fill };
}

/**
 * What it takes to submit something.
 *
 * @param what - The task or the workflow, with its arguments.
 * @param first - What has to be done before it can be submitted, in words.
 */
export function useSubmission(
  what: Partial<ISubmission>,
  { filled, fill }: IFilling,
  first: string | null = null
): ISubmitting {
  const { api, changes, open } = useFractal();
  const { active } = useProfiles();
  const datasets = useFetched(changes, { kinds: ['dataset'] }, api.datasets, []);
  const resources = useFetched(changes, { kinds: ['resource'] }, api.resources, []);
  const [plan, setPlan] = useState<IPlan | null>(null);
  const [refused, setRefused] = useState<IRefusal | null>(null);

  const all = datasets.value ?? [];
  const dataset =
    all.find(one => one.id === filled.dataset) ?? (all.length === 1 ? all[0] : undefined);
  const kind = resources.value?.find(one => one.id === active?.resource_id)?.type;
  const single = 'task_id' in what;
  const options = filledIn(filled.options ?? {}, kind, single);
  const answer = useReveal<HTMLDivElement>(plan ?? refused);
  const missing = first ?? (dataset ? null : 'Choose a dataset first.');
  const attempt = async (act: (submission: ISubmission) => Promise<void>) => {
    setPlan(null);
    setRefused(null);
    try {
      await act({ ...what, ...options, dataset_id: dataset!.id, profile_id: active?.id });
    } catch (reason) {
      setRefused(atItsOption(refusalOf(reason), options));
    }
  };
  const where = (
    <section className="fj-form" aria-label="Where to run">
      <ProfileChooser />
      <DatasetChooser
        datasets={all}
        error={datasets.error}
        chosen={dataset}
        choose={id => {
          fill(() => ({ dataset: id ?? undefined }));
          setPlan(null);
        }}
      />
    </section>
  );
  const actions = (
    <>
      <Problem text={resources.error} />
      <Options
        kind={kind}
        single={single}
        value={filled.options ?? {}}
        change={value => fill(() => ({ options: value }))}
        problems={refused?.fields ?? []}
      />
      <div className="fj-actions fj-mod-start">
        <ActionButton
          main
          label="Submit"
          disabled={missing !== null || !active}
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
          disabled={missing !== null || !active}
          action={() => attempt(async submission => setPlan(await api.plan(submission)))}
        />
        {missing && <span className="fj-soft">{missing}</span>}
      </div>
      <div ref={answer}>
        <Problem text={refused?.message} />
        {plan && <Plan plan={plan} />}
      </div>
    </>
  );
  return { where, actions, refused };
}

const UNKNOWN = 'as many as the step before leaves';

function Plan(props: { plan: IPlan }): JSX.Element {
  const { name, steps } = props.plan;
  return (
    <section aria-label="Plan" role="status">
      <h2>{`This would run: ${printable(name)}`}</h2>
      <ul className="fj-plan">
        {steps.map(step => {
          const images = step.images === null ? UNKNOWN : counted(step.images, 'image');
          const types = typesWords(step.type_filter);
          return (
            <li key={step.position}>
              {printable(`${step.task} on ${images}${types && ` (${types})`}: `)}
              {step.phases.map(phaseWords).join('; ')}
              {step.phases.map(
                phase =>
                  phase.script !== null && (
                    <details key={phase.name}>
                      <summary>{`Script: ${titleOf(step, phase)}`}</summary>
                      <CodeCell code={phase.script} label={`Script: ${titleOf(step, phase)}`} />
                    </details>
                  )
              )}
            </li>
          );
        })}
      </ul>
    </section>
  );
}

function titleOf(step: IPlan['steps'][0], phase: IPlannedPhase): string {
  const task = printable(step.task);
  return step.phases.length > 1 ? `${task}, ${partWords(phase)}` : task;
}

function partWords(phase: IPlannedPhase): string {
  return phase.name.replace('_', ' ');
}

function phaseWords(phase: IPlannedPhase): string {
  const { units, batches, side_by_side: beside } = phase;
  if (units === null) {
    return `${partWords(phase)}, ${UNKNOWN}`;
  }
  return [
    counted(units, 'unit') +
      (batches ? ` in ${counted(batches.length, 'batch', 'batches')}` : ''),
    ...(beside !== null && beside > 1 ? [`${beside} side by side`] : [])
  ].join(', ');
}
