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
  const [folded, fold] = useFolded(props.title);
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
            onClick={() => fold(!folded)}
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

/** Whether a section is folded: kept by the browser, so that nothing jumps when it is drawn first. */
function useFolded(title: string): [boolean, (folded: boolean) => void] {
  const key = `fractal-jupyter:folded:${title}`;
  const [folded, setFolded] = useState(() => stored(() => localStorage.getItem(key)) === 'yes');
  const fold = (folded: boolean) => {
    setFolded(folded);
    stored(() => (folded ? localStorage.setItem(key, 'yes') : localStorage.removeItem(key)));
  };
  return [folded, fold];
}

/** Browsers may be told to keep nothing; then asking for it is an error. */
function stored<T>(access: () => T): T | undefined {
  try {
    return access();
  } catch {
    return undefined;
  }
}
