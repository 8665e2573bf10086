/** The jobs that are not over, and those that end: for the status bar and for notifications. */

import { ISignal, Signal } from '@lumino/signaling';

import { Api, IJobSummary } from './api';
import { Changes, IChange, concerns, oneAtATime } from './live';
import { isOver } from './words';

const MOST = 100;

export class RunningJobs {
  constructor(
    private readonly api: Api,
    changes: Changes
  ) {
    changes.told.connect((_, told) => {
      if (concerns(told, ['job'])) {
        this.note(told);
        void this.look();
      }
    });
    void this.look();
  }

  /** The jobs that are not over, the newest first. */
  get jobs(): IJobSummary[] {
    return [...this.active.values()];
  }

  /** Emitted when `jobs` have changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Emitted once for each job that has ended since the page was loaded. */
  get ended(): ISignal<this, IJobSummary> {
    return this._ended;
  }

  /** Jobs that nobody has seen may have begun and ended since the last look. */
  private note(told: IChange[] | null): void {
    for (const { kind, id } of told ?? []) {
      if (kind === 'job' && id !== null && this.newest !== null && id > this.newest) {
        this.unseen.add(id);
      }
    }
  }

  /** The ids of jobs that came between two looks, the last ones. */
  private after(seen: number | null, top: number): number[] {
    const count = seen === null ? 0 : Math.min(Math.max(0, top - seen), MOST);
    return Array.from({ length: count }, (_, i) => top - i);
  }

  private readonly look = oneAtATime(
    () => this.compare().catch(() => undefined) // the panel says what is wrong
  );

  private async compare(): Promise<void> {
    const unseen = [...this.unseen];
    const [running, waiting, newest] = await Promise.all([
      this.api.jobs({ limit: MOST, status: 'running' }),
      this.api.jobs({ limit: MOST, status: 'submitted' }),
      this.api.jobs({ limit: 1 })
    ]);
    const found = [...running.items, ...waiting.items].sort((one, other) => other.id - one.id);
    const now = new Map(found.map(job => [job.id, job]));
    const top = newest.items[0]?.id ?? 0;
    const candidates = [...this.active.keys(), ...unseen, ...this.after(this.newest, top)];
    this.active = now;
    this.newest = Math.max(this.newest ?? 0, top);
    unseen.forEach(id => this.unseen.delete(id));
    this._changed.emit();
    for (const id of new Set(candidates.filter(id => !now.has(id)))) {
      const job = await this.api.job(id).catch(() => null); // it may have been removed
      if (job && isOver(job.status)) {
        this._ended.emit(job);
      } else if (job) {
        // It went from one list to the other while these were fetched.
        this.unseen.add(id);
      }
    }
  }

  private active = new Map<number, IJobSummary>();
  private readonly unseen = new Set<number>();
  /** The newest job that was seen; null until the first look. */
  private newest: number | null = null;
  private readonly _changed = new Signal<this, void>(this);
  private readonly _ended = new Signal<this, IJobSummary>(this);
}
