/** A task group: what it is, its tasks, what is installed in it, and what was done to it. */

import React, { useState } from 'react';

import { ActivityStatusMark, CancelActivity, activityTitle, isGoingOn, whenWords } from './activity';
import { IActivity, ITaskGroup } from './api';
import { useFractal } from './fractal';
import { originWords, sizeWords, usedWords } from './groups';
import { Installed } from './installed';
import { useLife } from './life';
import { useFetched } from './live';
import { Log } from './log';
import { ActionButton, Facts, Problem } from './parts';
import { TaskRow } from './tasklist';
import { counted, groupName, moment, printable } from './words';

const MOST_ACTIVITIES = 50;

export function TaskGroupView(props: { id: number }): JSX.Element {
  const { api, changes } = useFractal();
  const { id } = props;
  const { value: group, error } = useFetched(
    changes,
    { kinds: ['task_group'], id },
    () => api.taskGroup(id),
    [id]
  );
  const { value: activities } = useFetched(
    changes,
    { kinds: ['activity'] },
    () => api.activities({ limit: MOST_ACTIVITIES, task_group: id }),
    [id]
  );
  return (
    <div className="fj-view">
      <Problem text={error} />
      {group && !error && (
        <>
          <Head group={group} busy={activities?.find(isGoingOn)} />
          <TasksOf group={group} />
          <Installed
            heading={group.active ? 'What is installed' : 'What was installed'}
            find={group.active ? 'Find an installed package' : 'Find a package that was installed'}
            freeze={group.freeze}
          />
        </>
      )}
      {activities && <Activities activities={activities} />}
    </div>
  );
}

function Head(props: { group: ITaskGroup; busy: IActivity | undefined }): JSX.Element {
  const { group, busy } = props;
  const life = useLife(group);
  return (
    <div className="fj-head">
      <div className="fj-line">
        <h1>{printable(groupName(group))}</h1>
        <span role="status">
          {busy ? (
            <ActivityStatusMark activity={busy} />
          ) : (
            <span className="fj-status" data-tone={group.active ? 'good' : 'soft'}>
              {group.active ? 'active' : 'deactivated'}
            </span>
          )}
        </span>
        <span className="fj-actions">
          {life.actions.map(({ label, act, danger }) => (
            <ActionButton
              key={label}
              label={label}
              main={label === 'Reactivate'}
              danger={danger}
              disabled={busy !== undefined}
              action={act}
            />
          ))}
        </span>
      </div>
      <Problem text={life.refused} />
      {!group.active && (
        <p className="fj-problem fj-mod-soft">
          {'Its environment was removed, and no job can use it. What it consisted of is kept: ' +
            'Reactivate builds exactly that again, or leaves nothing and says why.'}
        </p>
      )}
      <About group={group} />
    </div>
  );
}

function About(props: { group: ITaskGroup }): JSX.Element {
  const { api, changes } = useFractal();
  const { group } = props;
  const { value: resources } = useFetched(changes, { kinds: ['resource'] }, api.resources, []);
  const resource = resources?.find(one => one.id === group.resource_id);
  return (
    <Facts
      label="About this task group"
      facts={[
        ['Where', resource?.name],
        ['Came from', originWords(group)],
        ['Source folder', group.source],
        [
          group.active ? 'Python' : 'Had the Python',
          [group.python_version, group.python].filter(Boolean).join(', ')
        ],
        [group.active ? 'Folder' : 'Was in the folder', group.folder],
        ['Size', sizeWords(group)],
        ['Collected', moment(group.created)],
        ['Last used', usedWords(group)]
      ]}
    />
  );
}

function TasksOf(props: { group: ITaskGroup }): JSX.Element {
  const { api, changes } = useFractal();
  const { group } = props;
  const { value, error } = useFetched(changes, { kinds: ['task_group'] }, () => api.tasks(), []);
  const tasks = value?.filter(task => task.task_group_id === group.id);
  return (
    <section aria-label="Tasks of this task group">
      <h2>Tasks</h2>
      <Problem text={error} />
      <ul className="fj-list fj-mod-boxed" aria-label="Tasks of this task group">
        {tasks?.map(task => <TaskRow key={task.id} task={task} />)}
      </ul>
    </section>
  );
}

function Activities(props: { activities: IActivity[] }): JSX.Element {
  return (
    <section aria-label="What was done to it">
      <h2>{`What was done to it: ${counted(props.activities.length, 'activity', 'activities')}`}</h2>
      {props.activities.map(activity => (
        <Activity key={activity.id} activity={activity} />
      ))}
    </section>
  );
}

/** An activity, folded when it is over. */
function Activity(props: { activity: IActivity }): JSX.Element {
  const { activity } = props;
  const [opened, setOpened] = useState(isGoingOn(activity));
  const title = printable(activityTitle(activity));
  return (
    <details
      className="fj-activity"
      open={opened}
      onToggle={event => setOpened(event.currentTarget.open)}
    >
      <summary>
        {title} <ActivityStatusMark activity={activity} />{' '}
        <span className="fj-soft">{whenWords(activity)}</span>
      </summary>
      {opened && (
        <>
          <Problem text={activity.error} />
          <CancelActivity activity={activity} />
          <Log path={`activities/${activity.id}`} label={`Log: ${title}`} />
        </>
      )}
    </details>
  );
}
