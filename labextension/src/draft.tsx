/** What is edited and not saved yet, and what becomes of it when it is changed elsewhere. */

import React, { useEffect, useState } from 'react';

import { ApiError, IFieldProblem } from './api';
import { IFrame } from './fractal';
import { messageOf } from './live';
import { same } from './schema';

export interface IRefusal {
  message: string;
  fields: IFieldProblem[];
}

/** What the server said when it refused something. */
export function refusalOf(reason: unknown): IRefusal {
  return { message: messageOf(reason), fields: reason instanceof ApiError ? reason.fields : [] };
}

export interface IDraft<T> {
  value: T;
  dirty: boolean;
  /** What it has become elsewhere since it was changed here. */
  elsewhere: T | null;
  change: (value: T) => void;
  /** This is stored now: what was saved, or what others have saved. */
  take: (value: T) => void;
  /** Keep what was changed here, whatever was saved elsewhere. */
  keep: () => void;
}

interface IState<T> {
  value: T;
  base: T;
  elsewhere: T | null;
}

/** A draft of what is stored; null until that is known. What is new elsewhere is taken if nothing
 * was changed here. */
export function useDraft<T>(stored: T | undefined, frame: IFrame): IDraft<T> | null {
  const [state, setState] = useState<IState<T> | null>(null);
  const dirty = state !== null && !same(state.value, state.base);
  useEffect(() => {
    if (stored !== undefined) {
      setState(before => followed(before, stored));
    }
  }, [JSON.stringify(stored)]);
  useEffect(() => frame.setDirty(dirty), [dirty]);
  if (!state) {
    return null;
  }
  return {
    ...state,
    dirty,
    change: value => setState(before => before && { ...before, value }),
    take: value => setState({ value, base: value, elsewhere: null }),
    keep: () =>
      setState(before => before && { ...before, base: before.elsewhere ?? before.base, elsewhere: null })
  };
}

function followed<T>(before: IState<T> | null, stored: T): IState<T> {
  if (before && same(before.base, stored)) {
    return { ...before, elsewhere: null };
  }
  return before && !same(before.value, before.base) && !same(before.value, stored)
    ? { ...before, elsewhere: stored }
    : { value: stored, base: stored, elsewhere: null };
}

/** Says that a draft was changed elsewhere, and asks which of the two counts. */
export function Elsewhere<T>(props: { draft: IDraft<T>; noun: string }): JSX.Element | null {
  const { draft } = props;
  return draft.elsewhere === null ? null : (
    <div className="fj-problem" role="alert">
      <p>{`This ${props.noun} was changed elsewhere, while you changed it here.`}</p>
      <div className="fj-actions fj-mod-start">
        <button type="button" className="fj-button" onClick={() => draft.take(draft.elsewhere!)}>
          Take what is there
        </button>
        <button type="button" className="fj-button" onClick={draft.keep}>
          Keep what is here
        </button>
      </div>
    </div>
  );
}
