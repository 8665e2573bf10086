/** The profile that is used where none is named; kept over reloads of the page. */

import { IStateDB } from '@jupyterlab/statedb';
import { ISignal, Signal } from '@lumino/signaling';
import { useEffect, useState } from 'react';

import { IProfile } from './api';
import { useFractal } from './fractal';
import { IFetched, useFetched } from './live';

const KEY = 'fractal-jupyter:profile';

export class ActiveProfile {
  constructor(private readonly state: IStateDB | null) {
    void state?.fetch(KEY).then(found => {
      if (typeof found === 'number' && this._id === null) {
        this._id = found;
        this._changed.emit();
      }
    });
  }

  get id(): number | null {
    return this._id;
  }

  set id(id: number | null) {
    this._id = id;
    void this.state?.save(KEY, id);
    this._changed.emit();
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  private _id: number | null = null;
  private readonly _changed = new Signal<this, void>(this);
}

export interface IProfiles extends IFetched<IProfile[]> {
  /** The chosen one, else the server's default, else the only one. */
  active: IProfile | undefined;
  choose: (id: number) => void;
  /** What of an administrator's files cannot be used. */
  problems: string[];
}

export function useProfiles(): IProfiles {
  const { api, changes, profile } = useFractal();
  const [, redraw] = useState(0);
  useEffect(() => {
    const listen = () => redraw(count => count + 1);
    profile.changed.connect(listen);
    return () => void profile.changed.disconnect(listen);
  }, [profile]);
  const fetched = useFetched(
    changes,
    { kinds: ['profile', 'resource'] },
    async () => ({ all: await api.profiles(), about: await api.about() }),
    []
  );
  const all = fetched.value?.all;
  const byId = (id: number | null | undefined) => all?.find(one => one.id === id);
  return {
    ...fetched,
    value: all,
    active: byId(profile.id) ?? byId(fetched.value?.about.profile_id) ?? all?.[0],
    choose: id => (profile.id = id),
    problems: fetched.value?.about.problems ?? []
  };
}
