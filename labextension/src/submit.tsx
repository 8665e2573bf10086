/** Where something is submitted, and what would run: the same for tasks and for workflows. */

import React, { useState } from 'react';

import { IPlan, ISubmission } from './api';
import { DatasetChooser } from './dataset';
import { IRefusal, refusalOf } from './draft';
import { useFractal } from './fractal';
import { useFetched } from './live';
import { ProfileChooser } from './panel';
import { ActionButton, Problem } from './parts';
import { useProfiles } from './profile';
import { useReveal } from './reveal';
import { counted, jobTitle, printable } from './words';

export interface ISubmitting {
  /** Chooses the profile and the dataset. */
  where: JSX.Element;
  /** Buttons, and what the server answers. */
  actions: JSX.Element;
  refused: IRefusal | null;
}

/**
 * What it takes to submit something.
 *
 * @param what - The task or the workflow, with its arguments.
 * @param first - What has to be done before it can be submitted, in words.
 */
export function useSubmission(
  what: Omit<ISubmission, 'dataset_id' | 'profile_id'>,
  first: string | null = null
): ISubmitting {
  const { api, changes, open } = useFractal();
  const { active } = useProfiles();
  const datasets = useFetched(changes, { kinds: ['dataset'] }, api.datasets, []);
  const [chosen, setChosen] = useState<number | null>(null);
  const [plan, setPlan] = useState<IPlan | null>(null);
  const [refused, setRefused] = useState<IRefusal | null>(null);

  const all = datasets.value ?? [];
  const dataset = all.find(one => one.id === chosen) ?? (all.length === 1 ? all[0] : undefined);
  const answer = useReveal<HTMLDivElement>(plan ?? refused);
  const missing = first ?? (dataset ? null : 'Choose a dataset first.');
  const attempt = async (act: (submission: ISubmission) => Promise<void>) => {
    setPlan(null);
    setRefused(null);
    try {
      await act({ ...what, dataset_id: dataset!.id, profile_id: active?.id });
    } catch (reason) {
      setRefused(refusalOf(reason));
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
          setChosen(id);
          setPlan(null);
        }}
      />
    </section>
  );
  const actions = (
    <>
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
