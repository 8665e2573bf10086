/** The log of a unit or an activity: plain text that follows what is written. */

import React, { useEffect, useLayoutEffect, useRef, useState } from 'react';

import { ApiError, ILogPart } from './api';
import { useFractal } from './fractal';
import { messageOf } from './live';
import { Problem } from './parts';
import { bytes, printableLines } from './words';

const FOLLOW_MS = 1000;
/** More than this is not kept on the page. */
const KEPT_CHARACTERS = 2_000_000;

interface IShown {
  text: string;
  offset: number;
  complete: boolean;
}

const NOTHING: IShown = { text: '', offset: 0, complete: false };

/**
 * Show the log at a path of the API.
 *
 * @param props.version - Another value when the log may have begun anew.
 */
export function Log(props: { path: string; label: string; version?: unknown }): JSX.Element {
  const { api } = useFractal();
  const [shown, setShown] = useState(NOTHING);
  const [error, setError] = useState<string | null>(null);
  const [whole, setWhole] = useState(false);

  useEffect(() => {
    let timer = 0;
    let stopped = false;
    const follow = async (from: number | null) => {
      try {
        const part = await api.log(props.path, from);
        if (stopped) {
          return;
        }
        setError(null);
        setShown(before => appended(from === null || !from ? NOTHING : before, part));
        const more = part.next > part.offset && from !== null;
        if (!part.complete) {
          timer = window.setTimeout(() => void follow(part.next), more ? 0 : FOLLOW_MS);
        }
      } catch (reason) {
        if (stopped) {
          return;
        }
        setError(messageOf(reason));
        // What the server refuses once it refuses again; a lost connection may come back.
        if (!(reason instanceof ApiError)) {
          timer = window.setTimeout(() => void follow(from), 5 * FOLLOW_MS);
        }
      }
    };
    void follow(whole ? 0 : null);
    return () => {
      stopped = true;
      window.clearTimeout(timer);
    };
  }, [api, props.path, props.version, whole]);

  const text = useRef<HTMLPreElement>(null);
  const atEnd = useRef(true);
  useLayoutEffect(() => {
    if (text.current && atEnd.current) {
      text.current.scrollTop = text.current.scrollHeight;
    }
  }, [shown]);

  return (
    <div className="fj-log">
      <Problem text={error} />
      {shown.offset > 0 && (
        <div className="fj-bar fj-soft">
          {`The first ${bytes(shown.offset)} are not shown.`}
          {!whole && (
            <button type="button" className="fj-button" onClick={() => setWhole(true)}>
              Show all
            </button>
          )}
        </div>
      )}
      <pre
        ref={text}
        tabIndex={0}
        role="log"
        aria-label={props.label}
        aria-busy={!shown.complete}
        onScroll={event => {
          const at = event.currentTarget;
          atEnd.current = at.scrollHeight - at.scrollTop - at.clientHeight < 8;
        }}
      >
        {shown.text || (shown.complete && !error ? 'It has written nothing.' : '')}
      </pre>
    </div>
  );
}

function appended(before: IShown, part: ILogPart): IShown {
  const begin = before === NOTHING ? part.offset : before.offset;
  const text = before.text + printableLines(part.text);
  const cut = Math.max(0, text.length - KEPT_CHARACTERS);
  return { text: text.slice(cut), offset: begin + cut, complete: part.complete };
}
