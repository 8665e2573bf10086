/** Small parts that several views are made of. */

import { Clipboard, Notification } from '@jupyterlab/apputils';
import React, { useState } from 'react';

import { IStep, JobStatus, UnitStatus } from './api';
import { useFractal } from './fractal';
import { messageOf } from './live';
import { printable, printableLines, toneOf, unitCounts } from './words';

export function Status(props: { status: JobStatus | UnitStatus }): JSX.Element {
  return (
    <span className="fj-status" data-tone={toneOf(props.status)}>
      {props.status}
    </span>
  );
}

/** What a package says of a task: the little of Markdown that is common there, and all else as it is. */
export function Prose(props: { text: string }): JSX.Element {
  const lines = printableLines(props.text).trim().split('\n');
  return (
    <div className="fj-help">
      {lines.map((line, at) => {
        const heading = /^#+\s+(.*)$/.exec(line);
        const end = at < lines.length - 1 ? '\n' : '';
        return (
          <React.Fragment key={at}>
            {heading ? <strong>{heading[1]}</strong> : emphasized(line.replace(/^\s*[-*]\s+/, '• '))}
            {end}
          </React.Fragment>
        );
      })}
    </div>
  );
}

/** A line with what stands between two asterisks or backticks as it is meant. */
export function emphasized(line: string): (string | JSX.Element)[] {
  return line.split(/(\*\*.+?\*\*|`[^`\n]+`)/).map((piece, at) => {
    if (at % 2 === 0) {
      return piece;
    }
    return piece.startsWith('`') ? (
      <code key={at}>{piece.slice(1, -1)}</code>
    ) : (
      <strong key={at}>{emphasized(piece.slice(2, -2))}</strong>
    );
  });
}

/** Chooses one status or all, with how many there are of each. */
export function StatusChooser<T extends JobStatus | UnitStatus>(props: {
  label: string;
  all: string;
  statuses: readonly T[];
  counts: Partial<Record<T, number>>;
  chosen: T | '';
  choose: (status: T | '') => void;
}): JSX.Element {
  const many = (status: T) => props.counts[status] ?? 0;
  const words = (name: string, count: number) => `${name} (${count.toLocaleString('en')})`;
  return (
    <select
      aria-label={props.label}
      value={props.chosen}
      onChange={event => props.choose(event.target.value as T | '')}
    >
      <option value="">{words(props.all, props.statuses.reduce((all, one) => all + many(one), 0))}</option>
      {props.statuses.map(one => (
        <option key={one} value={one}>
          {words(one, many(one))}
        </option>
      ))}
    </select>
  );
}

/** A bar of units by their status. */
export function Progress(props: { steps: IStep[]; label: string }): JSX.Element {
  const counts = unitCounts(props.steps);
  const over = (['done', 'failed', 'interrupted', 'cancelled'] as const).filter(
    status => counts[status]
  );
  // A step whose units are not known yet counts as much as the average of those that are.
  const known = props.steps.filter(step => step.total);
  const sum = known.reduce((all, step) => all + step.total, 0);
  const total = known.length ? (sum / known.length) * props.steps.length : 0;
  const finished = over.reduce((all, status) => all + counts[status], 0);
  return (
    <div
      className="fj-progress"
      role="progressbar"
      aria-label={props.label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={total ? Math.floor((finished / total) * 100) : 0}
    >
      {over.map(status => (
        <div
          key={status}
          data-tone={toneOf(status)}
          style={{ width: `${(counts[status] / total) * 100}%` }}
        />
      ))}
    </div>
  );
}

export function Problem(props: { text: string | null | undefined }): JSX.Element | null {
  return props.text ? (
    <div className="fj-problem" role="alert">
      {printableLines(props.text)}
    </div>
  ) : null;
}

export function CommandButton(props: { command: string; text: string }): JSX.Element {
  const { commands } = useFractal();
  return (
    <button
      type="button"
      className="fj-button"
      onClick={() => void commands.execute(props.command)}
    >
      {props.text}
    </button>
  );
}

/** Names and what is said of them; what is said in a word is left out if it is empty. */
export function Facts(props: { label: string; facts: [string, React.ReactNode][] }): JSX.Element {
  return (
    <dl className="fj-facts" aria-label={props.label}>
      {props.facts
        .filter(([, said]) => said)
        .map(([name, said]) => (
          <React.Fragment key={name}>
            <dt>{name}</dt>
            <dd>{typeof said === 'string' ? printable(said) : said}</dd>
          </React.Fragment>
        ))}
    </dl>
  );
}

/** A button that does something that takes its time, and shows what went wrong. */
export function ActionButton(props: {
  label: string;
  action: () => Promise<unknown> | unknown;
  main?: boolean;
  danger?: boolean;
  disabled?: boolean;
  title?: string;
}): JSX.Element {
  const [busy, setBusy] = useState(false);
  const act = async () => {
    if (busy) {
      return;
    }
    setBusy(true);
    try {
      await props.action();
    } catch (reason) {
      Notification.error(messageOf(reason), { autoClose: 8000 });
    } finally {
      setBusy(false);
    }
  };
  const look = props.main ? 'fj-mod-main' : props.danger ? 'fj-mod-danger' : '';
  return (
    <button
      type="button"
      className={`fj-button ${look}`}
      disabled={props.disabled}
      // not `disabled`, which would take the focus away
      aria-disabled={busy || undefined}
      aria-busy={busy}
      title={props.title}
      onClick={() => void act()}
    >
      {props.label}
    </button>
  );
}

/** Code to copy. */
export function CodeCell(props: { code: string; label: string }): JSX.Element {
  const [copied, setCopied] = useState(false);
  return (
    <div className="fj-code">
      <pre tabIndex={0} aria-label={props.label}>
        {props.code}
      </pre>
      <button
        type="button"
        className="fj-button"
        onClick={() => {
          Clipboard.copyToSystem(props.code);
          setCopied(true);
        }}
        onBlur={() => setCopied(false)}
      >
        {copied ? 'Copied' : 'Copy'}
      </button>
    </div>
  );
}
