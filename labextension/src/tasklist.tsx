/** Tasks in the panel: what was collected, package by package, or what was found. */

import React, { useState } from 'react';

import { ActivityStatusMark, GOING_ON, activityTitle, isOfGroups } from './activity';
import { IActivity, ITaskGroup, ITaskSummary } from './api';
import { CommandIDs, useFractal } from './fractal';
import { aboutGroup } from './groups';
import { useLife } from './life';
import { useFetched } from './live';
import { openMenu } from './menu';
import { CommandButton, Problem } from './parts';
import { useProfiles } from './profile';
import { Section } from './section';
import { counted, groupName, printable } from './words';

const MOST = 100;

export function Tasks(): JSX.Element {
  const { api, changes } = useFractal();
  const { active } = useProfiles();
  const [sought, setSought] = useState('');
  const search = sought.trim();
  const { value, error } = useFetched(
    changes,
    { kinds: ['task_group'] },
    async () => {
      const [groups, tasks] = await Promise.all([api.taskGroups(), api.tasks(search)]);
      return { groups, tasks, search };
    },
    [search]
  );
  const { value: begun } = useFetched(
    changes,
    { kinds: ['activity'] },
    () => api.activities({ limit: MOST, status: GOING_ON }),
    []
  );
  const going = begun?.filter(isOfGroups) ?? [];
  // Tasks run where they were collected. What was deactivated comes last.
  const groups = value?.groups
    .filter(group => !active || group.resource_id === active.resource_id)
    .sort((one, other) => Number(other.active) - Number(one.active));
  const usable = groups?.filter(group => group.active) ?? [];
  const tasksOf = (group: ITaskGroup) =>
    value!.tasks.filter(task => task.task_group_id === group.id);
  return (
    <Section
      title="Tasks"
      share={4}
      beside={
        <span className="fj-actions">
          <CommandButton command={CommandIDs.clean} text="Clean up…" />
          <CommandButton command={CommandIDs.collect} text="Collect…" />
        </span>
      }
    >
      <input
        className="fj-search"
        type="search"
        placeholder="Name, tag, category, …"
        aria-label="Find a task"
        value={sought}
        onChange={event => setSought(event.target.value)}
      />
      <Problem text={error} />
      {groups && !groups.length && !going.length && (
        <p className="fj-hint">
          No task package is collected for this profile yet: Collect… installs one.
        </p>
      )}
      <div className="fj-grow">
        <GoingOn activities={going} />
        {value?.search ? (
          <FoundTasks
            tasks={value.tasks.filter(task => usable.some(group => group.id === task.task_group_id))}
          />
        ) : (
          <ul className="fj-list" aria-label="Task groups">
            {groups?.map(group => (
              <TaskGroup
                key={group.id}
                group={group}
                tasks={tasksOf(group)}
                busy={going.find(activity => activity.task_group_id === group.id)}
              />
            ))}
          </ul>
        )}
      </div>
    </Section>
  );
}

/** What is done to task groups now. */
function GoingOn(props: { activities: IActivity[] }): JSX.Element | null {
  const { open } = useFractal();
  return props.activities.length ? (
    <ul className="fj-list" aria-label="Going on">
      {props.activities.map(activity => {
        const title = activityTitle(activity);
        return (
          <li key={activity.id}>
            <button
              type="button"
              className="fj-row"
              onClick={() => open({ view: 'activity', id: activity.id, title })}
            >
              <span className="fj-line">
                <span className="fj-name">{printable(title)}</span>
                <ActivityStatusMark activity={activity} />
              </span>
            </button>
          </li>
        );
      })}
    </ul>
  ) : null;
}

/** Tasks of all packages, the one that fits best first. */
function FoundTasks(props: { tasks: ITaskSummary[] }): JSX.Element {
  const { tasks } = props;
  return (
    <>
      <p className="fj-hint" role="status">
        {tasks.length ? `${counted(tasks.length, 'task')} found` : 'No task has all these words.'}
      </p>
      <ul className="fj-list" aria-label="Tasks that were found">
        {tasks.map(task => (
          <TaskRow key={task.id} task={task}>
            <span className="fj-soft fj-name">
              {printable(
                [groupName(task), task.category, task.modality, ...task.tags]
                  .filter(Boolean)
                  .join(' · ')
              )}
            </span>
          </TaskRow>
        ))}
      </ul>
    </>
  );
}

/** A task, to be opened. */
export function TaskRow(props: { task: ITaskSummary; children?: React.ReactNode }): JSX.Element {
  const { open } = useFractal();
  const { task } = props;
  return (
    <li>
      <button
        type="button"
        className="fj-row"
        onClick={() => open({ view: 'task', id: task.id, title: task.name })}
      >
        <span className="fj-line">
          <span className="fj-name">{printable(task.name)}</span>
          <span className="fj-soft">{task.type.replace(/_/g, ' ')}</span>
        </span>
        {props.children}
      </button>
    </li>
  );
}

/** A task group: folded when it is not active, with a menu of what can be done to it. */
function TaskGroup(props: {
  group: ITaskGroup;
  tasks: ITaskSummary[];
  /** What is being done to it. */
  busy: IActivity | undefined;
}): JSX.Element {
  const { open } = useFractal();
  const { group, tasks, busy } = props;
  const life = useLife(group);
  const name = printable(groupName(group));
  const state = busy ? (
    <ActivityStatusMark activity={busy} />
  ) : (
    !group.active && <span className="fj-mark">deactivated</span>
  );
  const showMenu = (anchor: HTMLElement, at?: { x: number; y: number }) =>
    openMenu(
      [
        {
          label: 'Open',
          act: () => open({ view: 'task_group', id: group.id, title: groupName(group) })
        },
        ...(busy ? [] : life.actions).map(({ label, act }) => ({ label, act: () => void act() }))
      ],
      anchor,
      at
    );
  return (
    <li className="fj-package">
      <details
        className="fj-group"
        open={group.active}
        onContextMenu={event => {
          event.preventDefault();
          event.stopPropagation();
          const at = { x: event.clientX, y: event.clientY };
          showMenu(event.currentTarget.querySelector('summary')!, at);
        }}
      >
        <summary>
          {name} {state}
          <span className="fj-soft fj-about">
            {`${aboutGroup(group)} · ${counted(tasks.length, 'task')}`}
          </span>
        </summary>
        {group.active ? (
          <ul className="fj-list" aria-label={`Tasks of ${name}`}>
            {tasks.map(task => (
              <TaskRow key={task.id} task={task} />
            ))}
          </ul>
        ) : (
          <p className="fj-hint">Its environment was removed. Reactivate builds the same again.</p>
        )}
      </details>
      <button
        type="button"
        className="fj-button fj-more"
        aria-label={`More: ${name}`}
        aria-haspopup="menu"
        onClick={event => showMenu(event.currentTarget)}
      >
        …
      </button>
      <Problem text={life.refused} />
    </li>
  );
}
