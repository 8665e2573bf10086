/** A job: its steps, its units with the errors first, their logs, and the cell that does the same. */

import { Dialog, showDialog } from '@jupyterlab/apputils';
import React, { useEffect, useState } from 'react';

import { IJob, IStep, Json } from './api';
import { IRefusal, refusalOf } from './draft';
import { Form } from './form';
import { useFractal } from './fractal';
import { useFetched } from './live';
import { Log } from './log';
import { ActionButton, CodeCell, Problem, Progress, Status } from './parts';
import { IReveal, Timeline } from './timeline';
import { Units } from './units';
import { duration, isOver, moment, printable, progressWords } from './words';

export function JobView(props: { id: number }): JSX.Element {
  const { api, changes } = useFractal();
  const { value: job, error } = useFetched(
    changes,
    { kinds: ['job'], id: props.id },
    () => api.job(props.id),
    [props.id]
  );
  const [selected, setSelected] = useState<number | null>(null);
  const [reveal, setReveal] = useState<IReveal | null>(null);
  return (
    <div className="fj-view" aria-label="Job">
      <Problem text={error} />
      {job && (
        <>
          <Head job={job} />
          <Steps steps={job.steps} />
          <Timeline
            job={job}
            selected={selected}
            select={chosen => {
              setReveal(chosen);
              setSelected(chosen.timeline.index[chosen.position]);
            }}
          />
          <Units job={job} selected={selected} select={setSelected} reveal={reveal} />
          {selected !== null && <Unit job={job} index={selected} />}
          <details className="fj-fold">
            <summary>The cell that submits the same</summary>
            <CodeCell code={job.code} label="The cell that submits the same" />
          </details>
        </>
      )}
    </div>
  );
}

function Head(props: { job: IJob }): JSX.Element {
  const { api, changes } = useFractal();
  const { job } = props;
  const [asking, setAsking] = useState(false);
  const over = isOver(job.status);
  const canRetry = over && job.status !== 'done';
  const facts = [
    `job ${job.id}`,
    `on ${job.dataset}`,
    `with ${job.profile} (${job.resource})`,
    `submitted ${moment(job.created)}`,
    ...(job.seconds === null ? [] : [`ran ${duration(job.seconds)}`])
  ];
  const cancel = async () => {
    const answer = await showDialog({
      title: 'Cancel this job?',
      body: 'Units that are done are kept; Retry runs what is left.',
      buttons: [Dialog.cancelButton({ label: 'Go on' }), Dialog.warnButton({ label: 'Cancel the job' })]
    });
    if (answer.button.accept) {
      await api.cancel(job.id);
      changes.everything();
    }
  };
  const retry = async () => {
    await api.retry(job.id);
    changes.everything();
  };
  return (
    <div className="fj-head">
      <div className="fj-line">
        <h1>{printable(job.name)}</h1>
        <span role="status">
          <Status status={job.status} />
        </span>
        <span className="fj-actions">
          {!over && (
            <ActionButton
              danger
              label={job.cancel_requested ? 'Being cancelled' : 'Cancel'}
              disabled={job.cancel_requested}
              action={cancel}
            />
          )}
          {canRetry && (
            <>
              <ActionButton main label="Retry" title="Run again what did not succeed" action={retry} />
              <button
                type="button"
                className="fj-button"
                title="Run again what did not succeed, with more memory, say"
                aria-expanded={asking}
                onClick={() => setAsking(!asking)}
              >
                Retry with…
              </button>
            </>
          )}
        </span>
      </div>
      <p className="fj-soft">{printable(facts.join(' · '))}</p>
      <Progress steps={job.steps} label="Progress of the job" />
      <p>{progressWords(job.steps)}</p>
      {job.waiting_for && <p className="fj-soft">{printable(job.waiting_for)}</p>}
      <Problem text={job.error} />
      {canRetry && asking && <RetryWith job={job} done={() => setAsking(false)} />}
    </div>
  );
}

/** What is asked for most; the rest is folded. */
const MOST_WANTED = ['mem', 'cpus_per_task', 'parallel_tasks_per_job', 'time'];

/** Retries a job with other needs of its units. */
function RetryWith(props: { job: IJob; done: () => void }): JSX.Element {
  const { api, changes } = useFractal();
  const { value: schemas, error } = useFetched(changes, { kinds: [] }, api.schemas, []);
  const [meta, setMeta] = useState<Json>({});
  const [refused, setRefused] = useState<IRefusal | null>(null);
  const retry = async () => {
    try {
      await api.retry(props.job.id, meta);
      changes.everything();
      props.done();
    } catch (reason) {
      setRefused(refusalOf(reason));
    }
  };
  const fields = Object.keys((schemas?.meta.properties as Json | undefined) ?? {});
  const form = (hidden: string[]) => (
    <Form
      schema={schemas!.meta}
      path="meta"
      value={meta}
      change={setMeta}
      problems={refused?.fields ?? []}
      hidden={hidden}
    />
  );
  return (
    <section className="fj-nest" aria-label="Retry with">
      <p className="fj-help">For what is run again, and for the steps that are left.</p>
      <Problem text={error} />
      {schemas && (
        <>
          {form(fields.filter(name => !MOST_WANTED.includes(name)))}
          <details>
            <summary>More</summary>
            {form(MOST_WANTED)}
          </details>
          <Problem text={refused?.message} />
          <div>
            <ActionButton
              main
              label="Retry with these"
              disabled={!Object.keys(meta).length}
              action={retry}
            />
          </div>
        </>
      )}
    </section>
  );
}

function Steps(props: { steps: IStep[] }): JSX.Element {
  return (
    <table className="fj-steps" aria-label="Steps">
      <thead>
        <tr>
          <th scope="col">Step</th>
          <th scope="col">Status</th>
          <th scope="col">Units</th>
          <th scope="col">Time</th>
        </tr>
      </thead>
      <tbody>
        {props.steps.map(step => (
          <tr key={step.position}>
            <td>
              {`${step.position}: ${printable(step.task)}`}
              <span className="fj-soft">{printable(` ${step.package} ${step.version ?? ''}`)}</span>
            </td>
            <td title={step.mode ?? undefined}>
              <Status status={step.status} />
            </td>
            <td>{step.total ? progressWords([step]) : ''}</td>
            <td>{timeWords(step)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function timeWords(step: IStep): string {
  const spent = step.seconds === null ? '' : duration(step.seconds);
  return step.rate ? `${spent}, about ${duration(step.rate.seconds_left)} left` : spent;
}

function Unit(props: { job: IJob; index: number }): JSX.Element {
  const { api, changes } = useFractal();
  const { job, index } = props;
  const { value: unit, error } = useFetched(
    changes,
    { kinds: ['job'], id: job.id },
    () => api.unit(job.id, index),
    [job.id, index]
  );
  // A unit that runs again has a new log.
  const [run, setRun] = useState(0);
  useEffect(() => setRun(count => count + 1), [unit?.started]);
  const title = `Log of unit ${index}`;
  return (
    <section className="fj-unit" aria-label={`Unit ${index}`}>
      <h2>{title}</h2>
      <Problem text={error ?? unit?.error} />
      <Log
        path={`jobs/${job.id}/units/${index}`}
        label={title}
        version={`${unit?.index === index ? run : ''}/${job.cleaned}`}
      />
    </section>
  );
}
