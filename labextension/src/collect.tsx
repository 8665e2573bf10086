/** Collecting a task package: what to install, and the log of the installation. */

import React, { FormEvent, useId, useState } from 'react';

import { useFractal } from './fractal';
import { messageOf, useFetched } from './live';
import { Log } from './log';
import { ProfileChooser } from './panel';
import { Problem } from './parts';
import { useProfiles } from './profile';
import { printable } from './words';

/** @param props.started - Told of the activity, so that it is found again after a reload. */
export function CollectView(props: {
  activity: number | undefined;
  started: (activity: number) => void;
}): JSX.Element {
  const { api } = useFractal();
  const { active } = useProfiles();
  const [activity, setActivity] = useState(props.activity);
  const [requirement, setRequirement] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const id = useId();
  const collect = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      const begun = await api.collect({ requirement: requirement.trim(), profile_id: active?.id });
      setActivity(begun.id);
      props.started(begun.id);
    } catch (reason) {
      setError(messageOf(reason));
    } finally {
      setBusy(false);
    }
  };
  return (
    <div className="fj-view">
      <div className="fj-head">
        <h1>Collect a task package</h1>
        <p className="fj-soft">
          Installs the package in an environment of its own, where the profile computes, and reads
          its tasks.
        </p>
      </div>
      <form className="fj-form" onSubmit={event => void collect(event)}>
        <ProfileChooser />
        <div className="fj-field">
          <label htmlFor={id}>Package</label>
          <input
            id={id}
            type="text"
            autoFocus
            spellCheck={false}
            placeholder="fractal-tasks-core==2.1.0"
            aria-describedby={`${id}-help`}
            value={requirement}
            onChange={event => setRequirement(event.target.value)}
          />
          <div id={`${id}-help`} className="fj-help">
            A name, name==version, name[extra]==version, or the path of a wheel.
          </div>
        </div>
        <div>
          <button
            type="submit"
            className="fj-button fj-mod-main"
            disabled={busy || !requirement.trim() || !active}
          >
            Collect
          </button>
        </div>
      </form>
      <Problem text={error} />
      {activity !== undefined && <Collection key={activity} activity={activity} />}
    </div>
  );
}

function Collection(props: { activity: number }): JSX.Element {
  const { api, changes, open } = useFractal();
  const { value, error } = useFetched(
    changes,
    { kinds: ['activity'], id: props.activity },
    async () => {
      const activity = await api.activity(props.activity);
      const group = activity.task_group_id;
      const tasks = activity.status === 'OK' && group !== null ? await api.tasks() : [];
      return { activity, tasks: tasks.filter(task => task.task_group_id === group) };
    },
    [props.activity]
  );
  const words = { pending: 'waiting', ongoing: 'being collected', OK: 'collected', failed: 'failed' };
  const tones = { pending: 'soft', ongoing: 'busy', OK: 'good', failed: 'bad' };
  return (
    <section aria-label="Collection">
      <Problem text={error ?? value?.activity.error} />
      {value && (
        <p role="status">
          {`${printable(value.activity.subject)}: `}
          <span className="fj-status" data-tone={tones[value.activity.status]}>
            {words[value.activity.status]}
          </span>
        </p>
      )}
      {value && value.tasks.length > 0 && (
        <ul className="fj-list" aria-label="Collected tasks">
          {value.tasks.map(task => (
            <li key={task.id}>
              <button
                type="button"
                className="fj-row"
                onClick={() => open({ view: 'task', id: task.id, title: task.name })}
              >
                {printable(task.name)}
              </button>
            </li>
          ))}
        </ul>
      )}
      <Log path={`activities/${props.activity}`} label="Log of the collection" />
    </section>
  );
}
