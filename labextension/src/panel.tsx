/** The left panel: the active profile, jobs, and tasks. */

import React, { useState } from 'react';

import { Api, IJobSummary, IProfile, JobStatus } from './api';
import { CommandIDs, useFractal } from './fractal';
import { useFetched } from './live';
import { CommandButton, Problem, Progress, Status, StatusChooser } from './parts';
import { useProfiles } from './profile';
import { Section } from './section';
import { Tasks } from './tasklist';
import {
  counted,
  isOver,
  jobTitle,
  moment,
  printable,
  printableLines,
  progressWords
} from './words';

const PAGE = 20;
const STATUSES: JobStatus[] = ['submitted', 'running', 'done', 'failed', 'cancelled'];

/** Ask for what the panel shows first, while JupyterLab is still being put together. */
export function askEarly(api: Api): void {
  for (const asked of [api.jobs({ limit: PAGE }), api.profiles(), api.about()]) {
    asked.catch(() => undefined); // the panel asks again, and says what is wrong
  }
}

export function Panel(): JSX.Element {
  return (
    <div className="fj-panel">
      <ProfileChooser />
      <Places />
      <Jobs />
      <Tasks />
      <Workflows />
    </div>
  );
}

/** The profile that new jobs and collections use. */
export function ProfileChooser(): JSX.Element {
  const profiles = useProfiles();
  const { active, problems } = profiles;
  return (
    <div className="fj-bar">
      <label className="fj-choice">
        Profile
        <select
          value={active?.id ?? ''}
          disabled={!profiles.value?.length}
          title={active && printable(`${active.name} (${active.resource})`)}
          onChange={event => profiles.choose(Number(event.target.value))}
        >
          {profiles.value?.map(profile => (
            <option key={profile.id} value={profile.id}>
              {printable(profileName(profile, profiles.value!))}
            </option>
          ))}
        </select>
      </label>
      <Problem text={profiles.error} />
      {problems.length > 0 && (
        <details className="fj-problem fj-problems">
          <summary>{`${counted(problems.length, 'file')} of the administrator cannot be used`}</summary>
          <div tabIndex={0} role="group" aria-label="What is wrong with them">
            {problems.map(problem => (
              <p key={problem}>{printableLines(problem)}</p>
            ))}
          </div>
        </details>
      )}
    </div>
  );
}

/** The resource is named where several have a profile of that name. */
function profileName(profile: IProfile, all: IProfile[]): string {
  const several = all.filter(other => other.name === profile.name).length > 1;
  return several ? `${profile.name} (${profile.resource})` : profile.name;
}

/** Where, and as whom, computing happens; folded, since it is looked at once in a while. */
function Places(): JSX.Element {
  const [opened, setOpened] = useState(false);
  return (
    <details
      className="fj-group fj-places"
      onToggle={event => setOpened(event.currentTarget.open)}
    >
      <summary>Resources and profiles</summary>
      {opened && <PlaceList />}
    </details>
  );
}

function PlaceList(): JSX.Element {
  const { api, changes, open } = useFractal();
  const { value, error } = useFetched(
    changes,
    { kinds: ['resource', 'profile'] },
    async () => {
      const [resources, profiles] = await Promise.all([api.resources(), api.profiles()]);
      return { resources, profiles };
    },
    []
  );
  return (
    <>
      <Problem text={error} />
      <ul className="fj-list" aria-label="Resources and profiles">
        {value?.resources.map(resource => (
          <li key={resource.id}>
            <PlaceRow
              name={resource.name}
              about={resource.source ? `${resource.type} · administrator` : resource.type}
              choose={() => open({ view: 'resource', id: resource.id, title: resource.name })}
            />
            <ul className="fj-list fj-sub" aria-label={`Profiles of ${printable(resource.name)}`}>
              {value.profiles
                .filter(profile => profile.resource_id === resource.id)
                .map(profile => (
                  <li key={profile.id}>
                    <PlaceRow
                      name={profile.name}
                      about={profile.source ? 'profile · administrator' : 'profile'}
                      choose={() => open({ view: 'profile', id: profile.id, title: profile.name })}
                    />
                  </li>
                ))}
            </ul>
          </li>
        ))}
      </ul>
      <div className="fj-bar">
        <CommandButton command={CommandIDs.addResource} text="Add resource…" />
        <CommandButton command={CommandIDs.addProfile} text="Add profile…" />
      </div>
    </>
  );
}

function PlaceRow(props: { name: string; about: string; choose: () => void }): JSX.Element {
  return (
    <button type="button" className="fj-row" onClick={props.choose}>
      <span className="fj-line">
        <span className="fj-name">{printable(props.name)}</span>
        <span className="fj-soft">{props.about}</span>
      </span>
    </button>
  );
}

function Jobs(): JSX.Element {
  const { api, changes } = useFractal();
  const [status, setStatus] = useState<JobStatus | ''>('');
  // Where each page that was turned to begins; the newest jobs are on the first one.
  const [begins, setBegins] = useState<(number | null)[]>([null]);
  const before = begins[begins.length - 1];
  const { value, error } = useFetched(
    changes,
    { kinds: ['job'] },
    () => api.jobs({ limit: PAGE, before, status: status || undefined }),
    [status, before]
  );
  const counts = value?.counts ?? {};
  const all = Object.values(counts).reduce((one, other) => one + other, 0);
  return (
    <Section
      title="Jobs"
      share={3}
      beside={
        <StatusChooser
          label="Jobs to show"
          all="all"
          statuses={STATUSES}
          counts={counts}
          chosen={status}
          choose={chosen => {
            setStatus(chosen);
            setBegins([null]);
          }}
        />
      }
    >
      <Problem text={error} />
      {value && !value.items.length && (
        <p className="fj-hint">
          {all ? 'No such job.' : 'No jobs yet. Choose a task below, fill in its form, and submit it.'}
        </p>
      )}
      <ul className="fj-list fj-grow" aria-label="Jobs, the newest first">
        {value?.items.map(job => <JobRow key={job.id} job={job} />)}
      </ul>
      {(value?.next || begins.length > 1) && (
        <nav className="fj-bar" aria-label="Pages of jobs">
          <button
            type="button"
            className="fj-button"
            disabled={begins.length === 1}
            onClick={() => setBegins(begins.slice(0, -1))}
          >
            Newer
          </button>
          <button
            type="button"
            className="fj-button"
            disabled={!value?.next}
            onClick={() => value?.next && setBegins([...begins, value.next])}
          >
            Older
          </button>
        </nav>
      )}
    </Section>
  );
}

function JobRow(props: { job: IJobSummary }): JSX.Element {
  const { open } = useFractal();
  const { job } = props;
  const name = printable(job.name);
  const dataset = printable(job.dataset);
  return (
    <li>
      <button
        type="button"
        className="fj-row"
        onClick={() => open({ view: 'job', id: job.id, title: jobTitle(job) })}
      >
        <span className="fj-line">
          <span className="fj-name" title={name}>
            {name}
          </span>
          <Status status={job.status} />
        </span>
        {!isOver(job.status) && <Progress steps={job.steps} label={`Progress of ${name}`} />}
        <span className="fj-line fj-soft fj-about-job">
          <span>{`#${job.id} · ${progressWords(job.steps)}`}</span>
          <span>
            <span className="fj-name" title={dataset}>{`· ${dataset}`}</span>
            <span title={moment(job.created)}>{shortMoment(job.created)}</span>
          </span>
        </span>
        {job.waiting_for && <span className="fj-soft">{printable(job.waiting_for)}</span>}
      </button>
    </li>
  );
}

/** The time of today, or else the day. */
function shortMoment(seconds: number): string {
  const date = new Date(seconds * 1000);
  const today = date.toDateString() === new Date().toDateString();
  return today
    ? date.toLocaleTimeString(undefined, { hour: 'numeric', minute: '2-digit' })
    : date.toLocaleDateString();
}

function Workflows(): JSX.Element {
  const { api, changes, open } = useFractal();
  const { value, error } = useFetched(changes, { kinds: ['workflow'] }, api.workflows, []);
  return (
    <Section
      title="Workflows"
      share={2}
      beside={<CommandButton command={CommandIDs.addWorkflow} text="New workflow…" />}
    >
      <Problem text={error} />
      <ul className="fj-list fj-grow" aria-label="Workflows">
        {value?.map(workflow => (
          <li key={workflow.id}>
            <button
              type="button"
              className="fj-row"
              onClick={() => open({ view: 'workflow', id: workflow.id, title: workflow.name })}
            >
              <span className="fj-line">
                <span className="fj-name">{printable(workflow.name)}</span>
                <span className="fj-soft">{counted(workflow.steps.length, 'step')}</span>
              </span>
              <span className="fj-soft fj-name">
                {printable(workflow.steps.map(step => String(step.task)).join(' → '))}
              </span>
            </button>
          </li>
        ))}
      </ul>
    </Section>
  );
}
