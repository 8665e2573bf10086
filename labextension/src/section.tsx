/** A part of the panel that can be folded, so that there is more room for the others. */

import React, { useId, useState } from 'react';

export function Section(props: {
  title: string;
  /** How large its share is, where there is not room for all. */
  share: number;
  /** What stands beside the title. */
  beside: React.ReactNode;
  children: React.ReactNode;
}): JSX.Element {
  const [folded, setFolded] = useState(false);
  const id = useId();
  return (
    <section className="fj-section" aria-label={props.title} style={{ flexGrow: props.share }}>
      <header>
        <h2>
          <button
            type="button"
            className="fj-folder"
            aria-expanded={!folded}
            aria-controls={id}
            onClick={() => setFolded(!folded)}
          >
            {props.title}
          </button>
        </h2>
        {!folded && props.beside}
      </header>
      <div id={id} className="fj-section-body" hidden={folded}>
        {props.children}
      </div>
    </section>
  );
}
