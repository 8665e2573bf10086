/** A job: its steps, its units with the errors first, their logs, and the cell that does the same. */

import { Dialog, showDialog } from '@jupyterlab/apputils';
import React, { useEffect, useRef, useState } from 'react';

import { IJob, IStep, IUnit, Json } from './api';
import { soFar, useAge, useClock } from './clock';
import { IRefusal, refusalOf } from './draft';
import { RanIn } from './environment';
import { useFractal } from './fractal';
import { useFetched } from './live';
import { Log } from './log';
import { Needs } from './needs';
import { ActionButton, CodeCell, Problem, Progress, Status } from './parts';
import { useReveal } from './reveal';
import { IReveal, TIMELINE_REST, Timeline } from './timeline';
import { Units } from './units';
import { bytes, duration, isOver, moment, printable, progressWords } from './words';

/** A unit that somebody has chosen; another object each time, even if it is the same unit. */
interface IChoice {
  index: number;
}

export function JobView(props: {
  id: number;
  /** The unit that is chosen at first. */
  unit?: number;
  /** Called with the unit that was chosen. */
  chose: (unit: number) => void;
  /** Called when the job was removed here. */
  removed: () => void;
}): JSX.Element {
  const { api, changes } = useFractal();
  const about = { kinds: ['job' as const], id: props.id };
  const { value: job, error } = useFetched(changes, about, () => api.job(props.id), [props.id]);
  const timeline = useFetched(
    changes,
    about,
    () => api.timeline(props.id),
    [props.id],
    TIMELINE_REST
  );
  const [choice, setChoice] = useState<IChoice | null>(
    props.unit === undefined ? null : { index: props.unit }
  );
  const [reveal, setReveal] = useState<IReveal | null>(null);
  const choose = (index: number) => {
    setChoice({ index });
    props.chose(index);
  };
  useEffect(() => {
    const position = timeline.value?.index.indexOf(props.unit ?? -1) ?? -1;
    if (position >= 0) {
      setReveal({ timeline: timeline.value!, position });
    }
  }, [timeline.value === undefined]);

  const part = useRef<HTMLDivElement>(null);
  const now = useClock(job?.status === 'running', part);
  const age = useAge(job, now);
  const timelineAge = useAge(timeline.value, now);
  const selected = choice && choice.index;
  return (
    <div ref={part} className="fj-view" aria-label="Job">
      <Problem text={error} />
      {job && (
        <>
          <Head job={job} age={age} removed={props.removed} />
          <Steps steps={job.steps} age={age} />
          <Timeline
            job={job}
            timeline={timeline.value}
            error={timeline.error}
            age={timelineAge}
            selected={selected}
            select={chosen => {
              setReveal(chosen);
              choose(chosen.timeline.index[chosen.position]);
            }}
          />
          <Units
            job={job}
            now={timeline.value ? timeline.value.now + timelineAge : null}
            selected={selected}
            select={choose}
            reveal={reveal}
          />
          {choice && <Unit job={job} choice={choice} />}
          <RanIn job={job} />
          <details className="fj-fold">
            <summary>The cell that submits the same</summary>
            <CodeCell code={job.code} label="The cell that submits the same" />
          </details>
        </>
      )}
    </div>
  );
}

function Head(props: { job: IJob; age: number; removed: () => void }): JSX.Element {
  const { api, changes } = useFractal();
  const { job } = props;
  const [asking, setAsking] = useState(false);
  const over = isOver(job.status);
  const ran = secondsWords(job.seconds, job.status === 'running', props.age);
  const canRetry = over && job.status !== 'done';
  const facts = [
    `job ${job.id}`,
    `on ${job.dataset}`,
    `with ${job.profile} (${job.resource})`,
    `submitted ${moment(job.created)}`,
    ...(ran ? [`ran ${ran}`] : [])
  ];
  const cancel = async () => {
    const answer = await showDialog({
      title: 'Cancel this job?',
      body: 'Units that are done are kept; Retry runs what is left.',
      buttons: [
        Dialog.cancelButton({ label: 'Let it run' }),
        Dialog.warnButton({ label: 'Cancel the job' })
      ],
      defaultButton: 0
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
  const remove = async () => {
    const answer = await showDialog({
      title: 'Remove this job?',
      body:
        'Its record, its logs and its folder are removed. The images that it has made stay, and ' +
        'so does the list of images of its dataset. What belongs to another user, through sudo, ' +
        'stays as well.',
      buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: 'Remove' })]
    });
    if (answer.button.accept) {
      await api.remove('job', job.id);
      changes.everything();
      props.removed();
    }
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
          {over && <ActionButton danger label="Remove…" action={remove} />}
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

/** Retries a job with other needs of its units. */
function RetryWith(props: { job: IJob; done: () => void }): JSX.Element {
  const { api, changes } = useFractal();
  const [meta, setMeta] = useState<Json>({});
  const [refused, setRefused] = useState<IRefusal | null>(null);
  const resources = useFetched(changes, { kinds: ['resource'] }, api.resources, []);
  const kind = resources.value?.find(({ name }) => name === props.job.resource)?.type;
  const retry = async () => {
    try {
      await api.retry(props.job.id, meta);
      changes.everything();
      props.done();
    } catch (reason) {
      setRefused(refusalOf(reason));
    }
  };
  return (
    <section className="fj-nest" aria-label="Retry with">
      <p className="fj-help">For what is run again, and for the steps that are left.</p>
      {kind && (
        <Needs kind={kind} value={meta} change={setMeta} problems={refused?.fields ?? []} />
      )}
      <Problem text={resources.error ?? refused?.message} />
      <div>
        <ActionButton
          main
          label="Retry with these"
          disabled={!Object.keys(meta).length}
          action={retry}
        />
      </div>
    </section>
  );
}

function Steps(props: { steps: IStep[]; age: number }): JSX.Element {
  return (
    <table className="fj-steps fj-job-steps" aria-label="Steps">
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
            <td>{timeWords(step, props.age)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** How long something has run: `seconds` when the server was asked, some time ago. */
function secondsWords(seconds: number | null, runs: boolean, age: number): string {
  if (seconds === null) {
    return '';
  }
  return runs ? soFar(seconds + age) : duration(seconds);
}

function timeWords(step: IStep, age: number): string {
  const spent = secondsWords(step.seconds, step.status === 'running', age);
  const left = (step.rate?.seconds_left ?? 0) - age;
  return left >= 1 ? `${spent}, about ${soFar(left)} left` : spent;
}

function Unit(props: { job: IJob; choice: IChoice }): JSX.Element {
  const { api, changes } = useFractal();
  const { job, choice } = props;
  const { index } = choice;
  const { value: unit, error } = useFetched(
    changes,
    { kinds: ['job'], id: job.id },
    () => api.unit(job.id, index),
    [job.id, index]
  );
  // A unit that runs again has a new log.
  const [run, setRun] = useState(0);
  useEffect(() => setRun(count => count + 1), [unit?.started]);
  const section = useReveal<HTMLElement>(choice);
  const title = `Log of unit ${index}`;
  return (
    <section ref={section} className="fj-unit" aria-label={`Unit ${index}`}>
      <h2>{title}</h2>
      {unit?.index === index && <p className="fj-soft">{printable(unitWords(unit))}</p>}
      <Problem text={error ?? unit?.error} />
      <Log
        path={`jobs/${job.id}/units/${index}`}
        label={title}
        version={`${unit?.index === index ? run : ''}/${job.cleaned}`}
      />
    </section>
  );
}

/** What narrow tables leave out, and paths as a whole. */
function unitWords(unit: IUnit): string {
  const { started, ended, peak_memory: memory } = unit;
  return [
    unit.status,
    unit.zarr_url ?? 'all images',
    started !== null && ended !== null && duration(ended - started),
    memory !== null && bytes(memory),
    unit.node
  ]
    .filter(Boolean)
    .join(' · ');
}
