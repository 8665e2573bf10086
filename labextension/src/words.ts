/** Numbers, times and text from outside, in words that fit a line. */

import { IJobSummary, IStep, JobStatus, UnitCounts, UnitStatus } from './api';

export type Tone = 'good' | 'bad' | 'busy' | 'warn' | 'soft';

/** Errors first, then what goes on, then the rest. */
export const UNIT_STATUSES: UnitStatus[] = [
  'failed',
  'interrupted',
  'running',
  'cancelled',
  'pending',
  'done'
];

const TONES: Record<JobStatus | UnitStatus, Tone> = {
  submitted: 'soft',
  pending: 'soft',
  running: 'busy',
  done: 'good',
  failed: 'bad',
  interrupted: 'warn',
  cancelled: 'warn'
};

export function toneOf(status: JobStatus | UnitStatus): Tone {
  return TONES[status];
}

// Control characters, and marks that change the direction of what follows.
const UNPRINTABLE =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
const ESCAPE_SEQUENCE = /\u001b(\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(\u0007|\u001b\\)|[@-Z\\-_])/g;

/** Text from outside on one line: what cannot be seen is written as its escape. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, found => (/\s/.test(found) ? ' ' : escaped(found)));
}

/** Text of several lines, without the colours of terminals. */
export function printableLines(text: string): string {
  return text
    .replace(/\r\n/g, '\n')
    .replace(ESCAPE_SEQUENCE, '')
    .replace(UNPRINTABLE, found => (/[\n\t]/.test(found) ? found : escaped(found)));
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

export function counted(value: number, noun: string, plural = `${noun}s`): string {
  return `${value.toLocaleString('en')} ${value === 1 ? noun : plural}`;
}

export function duration(seconds: number): string {
  if (seconds < 0.0995) {
    return `${Math.round(Math.max(0, seconds) * 1000)} ms`;
  }
  if (seconds < 9.95) {
    return `${seconds.toFixed(1)} s`;
  }
  const total = Math.round(seconds);
  if (total < 60) {
    return `${total} s`;
  }
  const minutes = Math.round(total / 60);
  if (total < 3600) {
    return `${Math.floor(total / 60)} min ${total % 60} s`;
  }
  return minutes < 2880
    ? `${Math.floor(minutes / 60)} h ${minutes % 60} min`
    : `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`;
}

export function moment(seconds: number): string {
  const date = new Date(seconds * 1000);
  const today = date.toDateString() === new Date().toDateString();
  return today ? date.toLocaleTimeString() : date.toLocaleString();
}

export function bytes(size: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = size;
  while (value >= 999.5 && units.length > 1) {
    value /= 1000;
    units.shift();
  }
  return `${value >= 10 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)} ${units[0]}`;
}

/** What a task group is called. */
export function groupName(group: { package: string; version: string | null }): string {
  return `${group.package} ${group.version ?? ''}`.trim();
}

/** Types of images in words: `is_3D, not projected`. */
export function typesWords(types: Record<string, boolean>): string {
  return Object.entries(types)
    .map(([name, flag]) => (flag ? name : `not ${name}`))
    .join(', ');
}

/** The numbers of units of several steps together. */
export function unitCounts(steps: IStep[]): UnitCounts {
  const sum = (status: UnitStatus) => steps.reduce((all, step) => all + step[status], 0);
  return Object.fromEntries(UNIT_STATUSES.map(status => [status, sum(status)])) as UnitCounts;
}

/** How much of a job is over, from 0 to 1; steps count the same, whatever their units are. */
export function fractionDone(job: IJobSummary): number {
  if (!job.steps.length) {
    return 0;
  }
  const parts = job.steps.map(step =>
    step.status === 'done' ? 1 : step.total ? (step.total - step.pending - step.running) / step.total : 0
  );
  return parts.reduce((one, other) => one + other, 0) / parts.length;
}

/** How many units are over, and how many of them not well: `40 of 40 units, 2 failed`. */
export function progressWords(steps: IStep[]): string {
  const counts = unitCounts(steps);
  const total = steps.reduce((all, step) => all + step.total, 0);
  const bad = (['failed', 'interrupted', 'cancelled'] as const).filter(status => counts[status]);
  const over = bad.reduce((all, status) => all + counts[status], counts.done);
  const words = bad.map(status => `${counts[status].toLocaleString('en')} ${status}`);
  return [`${over.toLocaleString('en')} of ${counted(total, 'unit')}`, ...words].join(', ');
}

/** What the tab of a job is called; several jobs may have one name. */
export function jobTitle(job: IJobSummary): string {
  return `${job.name} #${job.id}`;
}

export function isOver(status: JobStatus): boolean {
  return status !== 'submitted' && status !== 'running';
}
