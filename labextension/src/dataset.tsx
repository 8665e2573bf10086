/** Datasets: choosing one, making one, looking for the images in its folder, and removing it. */

import { Dialog, showDialog } from '@jupyterlab/apputils';
import React, { useId, useState } from 'react';

import { isGoingOn } from './activity';
import { IActivity, IDataset } from './api';
import { IRefusal, refusalOf } from './draft';
import { Form } from './form';
import { useFractal } from './fractal';
import { messageOf, useFetched } from './live';
import { Log } from './log';
import { ActionButton, Problem } from './parts';
import { useProfiles } from './profile';
import { useReveal } from './reveal';
import { counted, printable } from './words';

const SCHEMA = {
  type: 'object',
  required: ['name', 'zarr_dir'],
  properties: {
    name: { type: 'string', title: 'Name' },
    zarr_dir: {
      type: 'string',
      title: 'Folder of the images',
      description: 'An absolute path, where tasks read and write OME-Zarr images.'
    },
    project_dir: {
      type: 'string',
      title: 'Folder of the project',
      description: 'The folder of the images if it is not given.'
    }
  }
};

/** What was done to a dataset here: the activity that looks for images, and what was refused. */
interface IDone {
  looks?: number;
  refused?: string;
}

export function DatasetChooser(props: {
  datasets: IDataset[];
  error: string | null;
  chosen: IDataset | undefined;
  choose: (id: number | null) => void;
}): JSX.Element {
  const { api, changes } = useFractal();
  const { active } = useProfiles();
  const [making, setMaking] = useState(false);
  const [done, setDone] = useState<Record<number, IDone>>({});
  const { chosen } = props;
  const attempt = async (id: number, act: () => Promise<IDone>) => {
    let came: IDone;
    try {
      came = await act();
    } catch (reason) {
      came = { refused: messageOf(reason) };
    }
    setDone(before => ({ ...before, [id]: came }));
    changes.everything();
  };
  const look = (id: number) =>
    attempt(id, async () => ({ looks: (await api.scan(id, active?.id)).id }));
  const remove = async (id: number) => {
    const answer = await showDialog({
      title: 'Remove this dataset?',
      body: 'Its name and its list of images are forgotten. Files stay where they are.',
      buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: 'Remove' })]
    });
    if (answer.button.accept) {
      await attempt(id, async () => {
        await api.remove('dataset', id);
        props.choose(null);
        return {};
      });
    }
  };
  return (
    <>
      <div className="fj-bar">
        <label className="fj-choice">
          Dataset
          <select
            value={chosen?.id ?? ''}
            onChange={event => props.choose(Number(event.target.value))}
          >
            <option value="" disabled>
              choose …
            </option>
            {props.datasets.map(dataset => (
              <option key={dataset.id} value={dataset.id}>
                {printable(`${dataset.name} (${counted(dataset.images, 'image')})`)}
              </option>
            ))}
          </select>
        </label>
        <button
          type="button"
          className="fj-button"
          aria-expanded={making}
          onClick={() => setMaking(!making)}
        >
          New dataset…
        </button>
        {chosen && (
          <>
            <ActionButton
              label="Look again"
              title="Look for images in the folder of this dataset, and add those that are new"
              action={() => look(chosen.id)}
            />
            <ActionButton danger label="Remove dataset…" action={() => remove(chosen.id)} />
            <span className="fj-soft fj-path">{printable(chosen.zarr_dir)}</span>
          </>
        )}
      </div>
      <Problem text={props.error} />
      {chosen && <Problem text={done[chosen.id]?.refused} />}
      {chosen && done[chosen.id]?.looks !== undefined && (
        <Looks key={done[chosen.id].looks} activity={done[chosen.id].looks!} />
      )}
      {making && (
        <NewDataset
          made={(dataset, isToLook) => {
            props.choose(dataset.id);
            setMaking(false);
            return isToLook ? look(dataset.id) : changes.everything();
          }}
        />
      )}
    </>
  );
}

/** What looking for images has found, or why it cannot be done. */
function Looks(props: { activity: number }): JSX.Element {
  const { api, changes } = useFractal();
  const { activity: id } = props;
  const { value, error } = useFetched(
    changes,
    { kinds: ['activity'], id },
    () => api.activity(id),
    [id]
  );
  const part = useReveal<HTMLElement>(value?.status);
  return (
    <section ref={part} aria-label="Images in the folder">
      <Problem text={error ?? value?.error} />
      <p role="status">{foundWords(value)}</p>
      {value?.status === 'OK' && (
        <details>
          <summary>What was said</summary>
          <Log path={`activities/${id}`} label="Log of looking for images" />
        </details>
      )}
    </section>
  );
}

function foundWords(activity: IActivity | undefined): string {
  if (!activity || isGoingOn(activity)) {
    return 'Looking for images …';
  }
  if (activity.status !== 'OK') {
    return 'No images were added.';
  }
  const { found, added } = activity.result as { found: number; added: number };
  if (!found) {
    return 'There are no images in the folder.';
  }
  return `${counted(found, 'image')} found, ${added ? added.toLocaleString('en') : 'none'} added.`;
}

/** @param props.made - Told of a new dataset, and whether its images are to be looked for. */
function NewDataset(props: {
  made: (dataset: IDataset, isToLook: boolean) => Promise<void> | void;
}): JSX.Element {
  const { api } = useFractal();
  const [value, setValue] = useState<Record<string, unknown>>({});
  const [look, setLook] = useState(true);
  const [refused, setRefused] = useState<IRefusal | null>(null);
  const id = useId();
  const add = async () => {
    setRefused(null);
    let dataset: IDataset;
    try {
      dataset = await api.addDataset(value as { name: string; zarr_dir: string });
    } catch (reason) {
      setRefused(atItsField(refusalOf(reason), value));
      return;
    }
    await props.made(dataset, look);
  };
  return (
    <section className="fj-nest" aria-label="New dataset">
      <Form
        schema={SCHEMA}
        path=""
        value={value}
        change={setValue}
        problems={refused?.fields ?? []}
        hidden={[]}
      />
      <label htmlFor={id}>
        <input
          id={id}
          type="checkbox"
          checked={look}
          onChange={event => setLook(event.target.checked)}
        />
        {' Look for images in the folder, and add them'}
      </label>
      {!refused?.fields.length && <Problem text={refused?.message} />}
      <div>
        <ActionButton main label="Add dataset" disabled={!value.name || !value.zarr_dir} action={add} />
      </div>
    </section>
  );
}

/** What was refused, said at the field whose value it quotes, where the server names no field. */
function atItsField(refused: IRefusal, value: Record<string, unknown>): IRefusal {
  const quoted = ['zarr_dir', 'project_dir', 'name'].find(
    name => value[name] && refused.message.includes(`'${value[name]}'`)
  );
  if (refused.fields.length || !quoted) {
    return refused;
  }
  return { ...refused, fields: [{ path: quoted, found: '', allowed: '', words: refused.message }] };
}
