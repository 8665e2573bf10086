/** What is shown is fetched again when the server tells that it has changed. */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { Poll } from '@lumino/polling';
import { ISignal, Signal } from '@lumino/signaling';
import { useEffect, useMemo, useRef, useState } from 'react';

const SCHEMA = 'https://events.fractal-jupyter/changes/v1';
/** Where not even the browser knows that it hears nothing any more, everything is read again. */
const ANYWAY_MS = 60_000;
/** How long to wait before listening again; twice as long each time it was in vain. */
const AGAIN_MS = 1_000;
const AGAIN_AT_MOST_MS = 16_000;

export type Kind =
  | 'resource'
  | 'profile'
  | 'task_group'
  | 'dataset'
  | 'workflow'
  | 'job'
  | 'activity';

/** A thing that has changed; no id: any of its kind. */
export interface IChange {
  kind: Kind;
  id: number | null;
}

/**
 * What has changed in the store; null when anything may have.
 *
 * JupyterLab's own stream of events does not tell when it was interrupted, so this listens by
 * itself: once it hears the server again, which may be another one by then, all is read again.
 */
export class Changes {
  constructor(private readonly settings: ServerConnection.ISettings) {
    this.listen();
    this._poll = new Poll({
      factory: async () => {
        // The first time is at once, when everything is being read anyway.
        if (this.begun) {
          this._told.emit(null);
        }
        this.begun = true;
      },
      frequency: { interval: ANYWAY_MS, backoff: false },
      standby: 'when-hidden',
      auto: false
    });
    void this._poll.start();
    window.addEventListener('online', this.everything);
  }

  get told(): ISignal<this, IChange[] | null> {
    return this._told;
  }

  /** Have everything that is shown read again. */
  everything = () => this._told.emit(null);

  /** Listen to the server, and again when it is not heard any more. */
  private listen(interrupted = false, pause = AGAIN_MS): void {
    const { appendToken, token, WebSocket, wsUrl } = this.settings;
    const query = appendToken && token ? `?token=${encodeURIComponent(token)}` : '';
    const socket = new WebSocket(URLExt.join(wsUrl, 'api/events/subscribe') + query);
    let rest = pause;
    socket.onopen = () => {
      rest = AGAIN_MS;
      if (interrupted) {
        this.everything();
      }
    };
    socket.onmessage = message => {
      const event = JSON.parse(message.data);
      if (event.schema_id === SCHEMA) {
        this._told.emit(event.changes as IChange[]);
      }
    };
    socket.onclose = () => {
      const next = Math.min(2 * rest, AGAIN_AT_MOST_MS);
      window.setTimeout(() => this.listen(true, next), rest);
    };
  }

  private begun = false;
  private readonly _poll: Poll;
  private readonly _told = new Signal<this, IChange[] | null>(this);
}

/** What was fetched last, and why fetching failed if it did. */
export interface IFetched<T> {
  value: T | undefined;
  error: string | null;
  again: () => void;
}

/** Whether a change is about any thing of these kinds, or about the one with an id. */
export function concerns(changes: IChange[] | null, kinds: Kind[], id?: number): boolean {
  return (
    changes === null ||
    changes.some(
      change =>
        kinds.includes(change.kind) &&
        (id === undefined || change.id === null || change.id === id)
    )
  );
}

/** Do some work, but never twice at a time: once more afterwards, if that was wanted meanwhile. */
export function oneAtATime(work: () => Promise<void>): () => Promise<void> {
  let busy = false;
  let wanted = false;
  return async () => {
    wanted = true;
    if (busy) {
      return;
    }
    busy = true;
    while (wanted) {
      wanted = false;
      await work();
    }
    busy = false;
  };
}

function pause(milliseconds: number): Promise<void> {
  return new Promise(done => void window.setTimeout(done, milliseconds));
}

/**
 * Fetch something, and again whenever it may have changed. What was fetched stays until there is
 * something newer; requests never overtake each other.
 *
 * @param rest - How long to rest before it is fetched again, as a multiple of what it took: for
 * what may be large.
 */
export function useFetched<T>(
  changes: Changes,
  about: { kinds: Kind[]; id?: number },
  fetch: () => Promise<T>,
  dependencies: unknown[],
  rest = 0
): IFetched<T> {
  const [state, setState] = useState<{ value?: T; error: string | null }>({ error: null });
  const latest = useRef(fetch);
  latest.current = fetch;
  const generation = useRef(0);

  const load = useMemo(
    () =>
      oneAtATime(async () => {
        const begun = generation.current;
        const asked = performance.now();
        try {
          const value = await latest.current();
          if (begun === generation.current) {
            setState({ value, error: null });
          }
        } catch (reason) {
          if (begun === generation.current) {
            setState(before => ({ ...before, error: messageOf(reason) }));
          }
        }
        if (rest) {
          await pause(rest * (performance.now() - asked));
        }
      }),
    []
  );

  useEffect(() => {
    const listen = (_: unknown, told: IChange[] | null) => {
      if (concerns(told, about.kinds, about.id)) {
        void load();
      }
    };
    changes.told.connect(listen);
    void load();
    return () => {
      changes.told.disconnect(listen);
      generation.current += 1;
    };
  }, dependencies);

  return { value: state.value, error: state.error, again: load };
}

export function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}
