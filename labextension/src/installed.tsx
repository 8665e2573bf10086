/** What is installed in an environment, to be searched. */

import React, { useId, useState } from 'react';

import { printable } from './words';

/** @param props.find - What the field is called that searches it. */
export function Installed(props: {
  heading: string;
  find: string;
  /** Exact requirements. */
  freeze: string[];
}): JSX.Element {
  const [sought, setSought] = useState('');
  const id = useId();
  const { freeze, heading } = props;
  const found = freeze.filter(line => line.toLowerCase().includes(sought.trim().toLowerCase()));
  const count = sought.trim() ? `${found.length} of ${freeze.length}` : String(freeze.length);
  return (
    <section aria-label={heading}>
      <div className="fj-line fj-section-head">
        <h2 id={id}>{heading}</h2>
        <input
          type="search"
          placeholder="Name of a package"
          aria-label={props.find}
          value={sought}
          onChange={event => setSought(event.target.value)}
        />
        <span className="fj-soft" role="status">
          {`${count} ${freeze.length === 1 ? 'package' : 'packages'}`}
        </span>
      </div>
      {found.length > 0 && (
        <div className="fj-freeze" role="group" tabIndex={0} aria-labelledby={id}>
          <ul className="fj-list" aria-labelledby={id}>
            {found.map(line => (
              <li key={line}>{printable(line)}</li>
            ))}
          </ul>
        </div>
      )}
    </section>
  );
}
