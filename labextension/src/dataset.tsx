/** A new dataset, and the images that are in its folder already. */

import React, { useId, useState } from 'react';

import { IDataset } from './api';
import { IRefusal, refusalOf } from './draft';
import { Form } from './form';
import { useFractal } from './fractal';
import { ActionButton, Problem } from './parts';
import { useProfiles } from './profile';

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

export function NewDataset(props: { made: (dataset: IDataset) => void }): JSX.Element {
  const { api, changes } = useFractal();
  const { active } = useProfiles();
  const [value, setValue] = useState<Record<string, unknown>>({});
  const [scan, setScan] = useState(true);
  const [refused, setRefused] = useState<IRefusal | null>(null);
  const id = useId();
  const add = async () => {
    try {
      const dataset = await api.addDataset(value as { name: string; zarr_dir: string });
      if (scan) {
        await api.scan(dataset.id, active?.id);
      }
      changes.everything();
      props.made(dataset);
    } catch (reason) {
      setRefused(refusalOf(reason));
    }
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
          checked={scan}
          onChange={event => setScan(event.target.checked)}
        />
        {' Look for images in the folder, and add them'}
      </label>
      <Problem text={refused?.message} />
      <div>
        <ActionButton main label="Add dataset" disabled={!value.name || !value.zarr_dir} action={add} />
      </div>
    </section>
  );
}
