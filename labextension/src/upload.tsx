/** A file of the user's computer, for a collection. */

import React, { useId, useState } from 'react';

import { useFractal } from './fractal';
import { messageOf } from './live';
import { Problem } from './parts';
import { printable } from './words';

/**
 * Send files to the server as soon as they are chosen.
 *
 * @param props.accept - The endings of their names; the file that counts has the first one.
 * @param props.done - Told by what name the server knows it.
 */
export function Upload(props: { accept: string; done: (requirement: string) => void }): JSX.Element {
  const { api } = useFractal();
  const [said, setSaid] = useState('');
  const [error, setError] = useState<string | null>(null);
  const id = useId();
  const [main, ...others] = props.accept.split(',');
  const upload = async (files: File[]) => {
    setError(null);
    setSaid('Being uploaded …');
    try {
      for (const file of files) {
        const { requirement } = await api.upload({ name: file.name, content: await base64(file) });
        if (file.name.endsWith(main)) {
          props.done(requirement);
        }
      }
      setSaid(`${files.map(file => printable(file.name)).join(', ')}: uploaded.`);
    } catch (reason) {
      setSaid('');
      setError(messageOf(reason));
    }
  };
  return (
    <div className="fj-field">
      <label htmlFor={id}>Or upload it from this computer</label>
      <input
        id={id}
        type="file"
        accept={props.accept}
        multiple={others.length > 0}
        onChange={event => void upload([...(event.target.files ?? [])])}
      />
      <div className="fj-help" role="status">
        {said}
      </div>
      <Problem text={error} />
    </div>
  );
}

function base64(file: File): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).replace(/^[^,]*,?/, ''));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
