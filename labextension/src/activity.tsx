/** What is done to task groups: how far it is, its log, and stopping it. */

import React, { useEffect } from 'react';

import { ActivityStatus, IActivity } from './api';
import { useFractal } from './fractal';
import { useFetched } from './live';
import { Log } from './log';
import { ActionButton, Problem } from './parts';
import { Tone, duration, moment, printable } from './words';

const ACTIONS: Record<IActivity['action'], string> = {
  collect: 'Collect',
  collect_custom: 'Collect',
  deactivate: 'Deactivate',
  reactivate: 'Reactivate',
  delete: 'Delete',
  clean: 'Clean',
  check: 'Check',
  scan: 'Scan'
};
const STATUSES: Record<ActivityStatus, [string, Tone]> = {
  pending: ['waiting', 'soft'],
  ongoing: ['going on', 'busy'],
  OK: ['done', 'good'],
  failed: ['failed', 'bad'],
  cancelled: ['cancelled', 'warn']
};

/** `Collect my-tasks==1.0`. */
export function activityTitle(activity: IActivity): string {
  // What was uploaded is kept in a folder that its digest is the name of: nobody wants to read that.
  const subject = activity.subject.replace(/^\/.*\/[0-9a-f]{64}\//, '');
  return `${ACTIONS[activity.action]} ${subject}`;
}

export const GOING_ON: ActivityStatus[] = ['pending', 'ongoing'];

export function isGoingOn(activity: IActivity): boolean {
  return GOING_ON.includes(activity.status);
}

/** Whether it does something to task groups; others end by themselves. */
export function isOfGroups(activity: IActivity): boolean {
  return activity.action !== 'check' && activity.action !== 'scan';
}

export function ActivityStatusMark(props: { activity: IActivity }): JSX.Element {
  const [words, tone] = STATUSES[props.activity.status];
  return (
    <span className="fj-status" data-tone={tone}>
      {words}
    </span>
  );
}

export function ActivityView(props: { id: number }): JSX.Element {
  return (
    <div className="fj-view">
      <ActivityPart id={props.id} heading="h1" />
    </div>
  );
}

/**
 * An activity with its log, which follows what is written.
 *
 * @param props.over - Told once it is over.
 */
export function ActivityPart(props: {
  id: number;
  heading: 'h1' | 'h2';
  over?: (activity: IActivity) => void;
}): JSX.Element {
  const { api, changes } = useFractal();
  const { id, heading: Heading } = props;
  const { value: activity, error } = useFetched(
    changes,
    { kinds: ['activity'], id },
    () => api.activity(id),
    [id]
  );
  const over = activity?.id === id && !isGoingOn(activity);
  useEffect(() => {
    if (over) {
      props.over?.(activity);
    }
  }, [over]);
  const title = activity ? printable(activityTitle(activity)) : '';
  return (
    <section className="fj-activity" aria-label={title || 'Activity'}>
      <Problem text={error} />
      {activity && (
        <div className="fj-line">
          <Heading>{title}</Heading>
          <span role="status">
            <ActivityStatusMark activity={activity} />
          </span>
          <span className="fj-actions">
            <Outcome activity={activity} />
            <CancelActivity activity={activity} />
          </span>
        </div>
      )}
      {activity && <p className="fj-soft">{whenWords(activity)}</p>}
      <Problem text={activity?.error} />
      <Log path={`activities/${id}`} label={`Log: ${title}`} />
    </section>
  );
}

export function whenWords(activity: IActivity): string {
  const { created, ended } = activity;
  const took = ended === null ? '' : ` · took ${duration(ended - created)}`;
  return `activity ${activity.id} · began ${moment(created)}${took}`;
}

/** The task group that came of it. */
function Outcome(props: { activity: IActivity }): JSX.Element | null {
  const { open } = useFractal();
  const { status, task_group_id: id, subject } = props.activity;
  return status === 'OK' && id !== null ? (
    <button
      type="button"
      className="fj-button"
      onClick={() => open({ view: 'task_group', id, title: subject })}
    >
      Open the task group
    </button>
  ) : null;
}

/** Stops it while it goes on; then everything is as it was before. */
export function CancelActivity(props: { activity: IActivity }): JSX.Element | null {
  const { api, changes } = useFractal();
  const { activity } = props;
  return isGoingOn(activity) && isOfGroups(activity) ? (
    <ActionButton
      danger
      label={activity.cancel_requested ? 'Being cancelled' : 'Cancel'}
      title="Stop it; everything becomes as it was before"
      disabled={activity.cancel_requested}
      action={async () => {
        await api.cancelActivity(activity.id);
        changes.everything();
      }}
    />
  ) : null;
}
