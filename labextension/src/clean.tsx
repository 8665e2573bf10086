/** Cleaning: what of the environments on the disk nothing uses, and removing it. */

import { Dialog, showDialog } from '@jupyterlab/apputils';
import React, { FormEvent, useId, useState } from 'react';

import { ActivityPart } from './activity';
import { IUnused } from './api';
import { useFractal } from './fractal';
import { messageOf, useFetched } from './live';
import { ActionButton, Problem } from './parts';
import { useReveal } from './reveal';
import { bytes, counted, printable } from './words';

const DAYS = 30;
const KINDS: Record<IUnused['kind'], string> = {
  'task group': 'task group: deactivated, can be built again',
  leftover: 'left over',
  cache: 'cache',
  unknown: 'not of this store: stays'
};

export function CleanView(): JSX.Element {
  const { api, changes } = useFractal();
  const [days, setDays] = useState(DAYS);
  const [begun, setBegun] = useState<number[]>([]);
  const [refused, setRefused] = useState<string | null>(null);
  const found = useFetched(
    changes,
    { kinds: ['task_group'] },
    async () => ({ days, ...(await api.unused(days)) }),
    [days]
  );
  const part = useReveal<HTMLDivElement>(begun.length ? begun : null);
  const value = found.value?.days === days ? found.value : undefined;
  const removable = value?.items.filter(one => one.kind !== 'unknown') ?? [];
  const frees = removable.reduce((sum, one) => sum + one.frees, 0);
  const clean = async () => {
    setRefused(null);
    if (!(await isSure(removable, frees))) {
      return;
    }
    try {
      setBegun((await api.clean(days, removable)).map(activity => activity.id));
      changes.everything();
    } catch (reason) {
      setRefused(messageOf(reason));
    }
  };
  return (
    <div className="fj-view">
      <div className="fj-head">
        <div className="fj-line">
          <h1>Clean up environments</h1>
          <span className="fj-actions">
            <ActionButton danger label="Remove…" disabled={!removable.length} action={clean} />
          </span>
        </div>
        <p className="fj-soft">
          What no workflow and for long no job has used, what builds have left behind, and files that
          environments share no more.
        </p>
      </div>
      <Days days={days} look={asked => (asked === days ? void found.again() : setDays(asked))} />
      <Problem text={found.error ?? refused} />
      {value?.problems.map(problem => (
        <Problem key={problem} text={problem} />
      ))}
      <p role="status">
        {value && summary(removable, frees, value.saved_bytes)}
        {!value && !found.error && 'Looking …'}
      </p>
      {value && value.items.length > 0 && <Unused items={value.items} />}
      {begun.length > 0 && (
        <div ref={part} className="fj-form">
          {begun.map(id => (
            <ActivityPart key={id} id={id} heading="h2" over={() => void found.again()} />
          ))}
        </div>
      )}
    </div>
  );
}

/** How long a task group must not have been used. */
function Days(props: { days: number; look: (days: number) => void }): JSX.Element {
  const [text, setText] = useState(String(props.days));
  const id = useId();
  const days = Number(text);
  const wrong = !text.trim() || !Number.isFinite(days) || days < 0;
  const look = (event: FormEvent) => {
    event.preventDefault();
    props.look(days);
  };
  return (
    <form className="fj-bar" onSubmit={look}>
      <label htmlFor={id}>Task groups that were not used for</label>
      <input
        id={id}
        className="fj-days"
        type="text"
        inputMode="decimal"
        aria-invalid={wrong}
        value={text}
        onChange={event => setText(event.target.value)}
      />
      <span>days</span>
      <button type="submit" className="fj-button" disabled={wrong}>
        Look
      </button>
    </form>
  );
}

function summary(removable: IUnused[], frees: number, saved: number): string {
  const shared =
    saved > 0
      ? ` Environments share files: without that, they would take ${bytes(saved)} more.`
      : '';
  return removable.length
    ? `Removing ${counted(removable.length, 'thing')} frees ${bytes(frees)}.${shared}`
    : `Nothing here can be removed.${shared}`;
}

function Unused(props: { items: IUnused[] }): JSX.Element {
  const { open } = useFractal();
  const items = [...props.items].sort(
    (one, other) =>
      Number(one.kind === 'unknown') - Number(other.kind === 'unknown') || other.frees - one.frees
  );
  return (
    <table className="fj-steps fj-unused" aria-label="What nothing uses">
      <thead>
        <tr>
          <th scope="col">What</th>
          <th scope="col">Kind</th>
          <th scope="col">Where</th>
          <th scope="col">Frees</th>
        </tr>
      </thead>
      <tbody>
        {items.map(one => (
          <tr key={`${one.kind} ${one.resource} ${one.folder}`}>
            <td>
              {one.task_group_id === null ? (
                printable(one.what)
              ) : (
                <button
                  type="button"
                  className="fj-button"
                  onClick={() =>
                    open({ view: 'task_group', id: one.task_group_id!, title: one.what })
                  }
                >
                  {printable(one.what)}
                </button>
              )}
            </td>
            <td>{KINDS[one.kind]}</td>
            <td>
              {printable(one.folder)}
              <span className="fj-soft">{printable(` on ${one.resource}`)}</span>
            </td>
            <td>{bytes(one.frees)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

async function isSure(removable: IUnused[], frees: number): Promise<boolean> {
  const groups = removable.filter(one => one.kind === 'task group').length;
  const kept = groups
    ? ` ${counted(groups, 'task group')} will be deactivated; Reactivate builds the same again.`
    : '';
  const answer = await showDialog({
    title: 'Remove what nothing uses?',
    body: `This frees ${bytes(frees)} of the disk.${kept}`,
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: 'Remove' })]
  });
  return answer.button.accept;
}
