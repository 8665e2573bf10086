/** A document as JSON, to be read and edited as text. */

import React, { useEffect, useId, useState } from 'react';

import { Json } from './api';
import { messageOf } from './live';
import { isObject, same } from './schema';

/** @param props.broken - Told what is wrong with the text; null when it is a document again. */
export function JsonText(props: {
  value: Json;
  readOnly: boolean;
  change: (value: Json) => void;
  broken: (why: string | null) => void;
}): JSX.Element {
  const [text, setText] = useState(() => pretty(props.value));
  const [wrong, setWrong] = useState<string | null>(null);
  const id = useId();
  const tell = (why: string | null) => {
    setWrong(why);
    props.broken(why);
  };
  useEffect(() => {
    // What was typed stays as it was typed, until the document is another one.
    const { value } = parsed(text);
    if (!value || !same(value, props.value)) {
      setText(pretty(props.value));
      tell(null);
    }
  }, [JSON.stringify(props.value)]);
  const type = (typed: string) => {
    setText(typed);
    const { value, error } = parsed(typed);
    tell(error);
    if (value) {
      props.change(value);
    }
  };
  return (
    <section aria-label="The document as JSON">
      <h2>As JSON</h2>
      <textarea
        className="fj-json"
        aria-label="As JSON"
        aria-describedby={wrong === null ? undefined : `${id}-wrong`}
        aria-invalid={wrong !== null}
        spellCheck={false}
        readOnly={props.readOnly}
        rows={Math.min(40, text.split('\n').length + 1)}
        value={text}
        onChange={event => type(event.target.value)}
      />
      <div id={`${id}-wrong`} className="fj-wrong" role="alert">
        {wrong}
      </div>
    </section>
  );
}

function pretty(value: Json): string {
  return JSON.stringify(value, null, 2);
}

function parsed(text: string): { value: Json | null; error: string | null } {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value)
      ? { value, error: null }
      : { value: null, error: 'This is no JSON object: { … }.' };
  } catch (reason) {
    return { value: null, error: `This is no JSON: ${messageOf(reason)}` };
  }
}
