/** The units of a job as a table that stays quick however many there are. */

import React, { KeyboardEvent, useEffect, useRef, useState } from 'react';

import { IJob, IUnit, UnitStatus } from './api';
import { soFar } from './clock';
import { useFractal } from './fractal';
import { IChange, concerns, messageOf } from './live';
import { Problem, Status, StatusChooser } from './parts';
import { IReveal } from './timeline';
import { UNIT_STATUSES, bytes, counted, duration, printable, unitCounts } from './words';

const ROW_PIXELS = 26;
const PAGE = 100;
/** Rows that are drawn above and below what is seen. */
const MARGIN = 10;

/** Units of some statuses, which follow each other in the table. */
interface ISegment {
  statuses: UnitStatus[];
  length: number;
}

/** Errors come first, then what runs, then all others in their order. */
const ORDER: UnitStatus[][] = [
  ['failed', 'interrupted'],
  ['running'],
  ['cancelled', 'pending', 'done']
];

export function Units(props: {
  job: IJob;
  /** The time of the server, if it is known: what runs has taken so long. */
  now: number | null;
  selected: number | null;
  select: (index: number) => void;
  /** A unit that was chosen elsewhere: the table goes to it. */
  reveal: IReveal | null;
}): JSX.Element {
  const { job, reveal } = props;
  const [status, setStatus] = useState<UnitStatus | ''>('');
  const [step, setStep] = useState<number | undefined>();
  const [target, setTarget] = useState<IReveal | null>(null);
  useEffect(() => {
    if (reveal) {
      const { timeline, position } = reveal;
      setStatus(before => (before === timeline.statuses[timeline.status[position]] ? before : ''));
      setStep(before => (before === timeline.step[position] ? before : undefined));
      setTarget(reveal);
    }
  }, [reveal]);
  const steps = job.steps.filter(one => step === undefined || one.position === step);
  const counts = unitCounts(steps);
  const segments = (status ? [[status]] : ORDER).map(statuses => ({
    statuses,
    length: statuses.reduce((all, one) => all + counts[one], 0)
  }));
  return (
    <section className="fj-units" aria-label="Units">
      <header>
        <h2>Units</h2>
        <StatusChooser
          label="Units to show"
          all="all, errors first"
          statuses={UNIT_STATUSES}
          counts={counts}
          chosen={status}
          choose={chosen => {
            setTarget(null);
            setStatus(chosen);
          }}
        />
        {job.steps.length > 1 && (
          <select
            aria-label="Steps to show"
            value={step ?? ''}
            onChange={event => {
              setTarget(null);
              setStep(event.target.value === '' ? undefined : Number(event.target.value));
            }}
          >
            <option value="">of all steps</option>
            {job.steps.map(one => (
              <option key={one.position} value={one.position}>
                {printable(`of step ${one.position}: ${one.task}`)}
              </option>
            ))}
          </select>
        )}
      </header>
      <Table
        key={`${status}/${step ?? ''}`}
        job={job.id}
        now={props.now}
        step={step}
        steps={steps.length}
        segments={segments}
        selected={props.selected}
        select={props.select}
        target={target}
      />
    </section>
  );
}

function Table(props: {
  job: number;
  now: number | null;
  step: number | undefined;
  /** How many steps the units are of. */
  steps: number;
  segments: ISegment[];
  selected: number | null;
  select: (index: number) => void;
  target: IReveal | null;
}): JSX.Element {
  const total = props.segments.reduce((all, segment) => all + segment.length, 0);
  const body = useRef<HTMLDivElement>(null);
  const [seen, setSeen] = useState({ first: 0, last: 40 });
  const [width, setWidth] = useState(0);
  // That of the scrollbar beside the rows.
  const [gutter, setGutter] = useState(0);
  const first = Math.max(0, Math.min(seen.first, total) - MARGIN);
  const last = Math.min(total, seen.last + MARGIN);
  const { rows, said, error } = useRows(props.job, props.step, props.segments, first, last);
  const [current, setCurrent] = useState(0);
  const at = Math.min(current, Math.max(0, total - 1));

  const measure = () => {
    const shown = body.current;
    if (shown) {
      setWidth(shown.parentElement!.clientWidth);
      setGutter(shown.offsetWidth - shown.clientWidth);
      const top = Math.floor(shown.scrollTop / ROW_PIXELS);
      setSeen({ first: top, last: top + Math.ceil(shown.clientHeight / ROW_PIXELS) });
    }
  };
  useEffect(() => {
    const watcher = new ResizeObserver(measure);
    watcher.observe(body.current!);
    watcher.observe(body.current!.firstElementChild!);
    watcher.observe(body.current!.parentElement!);
    return () => watcher.disconnect();
  }, []);

  const scrollTo = (row: number): number => {
    const target = Math.max(0, Math.min(total - 1, row));
    setCurrent(target);
    const shown = body.current;
    if (shown) {
      const top = target * ROW_PIXELS;
      if (top < shown.scrollTop) {
        shown.scrollTop = top;
      } else if (top + ROW_PIXELS > shown.scrollTop + shown.clientHeight) {
        shown.scrollTop = top + ROW_PIXELS - shown.clientHeight;
      }
    }
    return target;
  };
  useEffect(() => {
    if (props.target) {
      scrollTo(rowOf(props.target, props.segments, props.step));
    }
  }, [props.target]);
  // The row that was gone to is drawn a moment later, and its unit may have to be fetched.
  const wanted = useRef(-1);
  const arrive = () => {
    const row = document.getElementById(rowId(props.job, wanted.current));
    const unit = rows.get(wanted.current);
    row?.scrollIntoView({ block: 'nearest' });
    if (row && unit) {
      wanted.current = -1;
      props.select(unit.index);
    }
  };
  useEffect(() => {
    if (wanted.current >= 0) {
      arrive();
    }
  });
  const go = (row: number) => {
    wanted.current = scrollTo(row);
    arrive();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const page = Math.max(1, seen.last - seen.first - 2);
    const moves: Record<string, number> = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: total - 1,
      Enter: at,
      ' ': at
    };
    if (event.key in moves) {
      event.preventDefault();
      go(moves[event.key]);
    }
  };

  const columns = columnsFor(width, said, props.steps);
  const style = {
    gridTemplateColumns: columns.map(column => column.width).join(' '),
    minWidth: neededBy(columns) - PADDING
  };
  const headStyle = { ...style, paddingRight: PADDING / 2 + gutter };
  const shown = Array.from({ length: Math.max(0, last - first) }, (_, i) => first + i);
  return (
    <>
      <Problem text={error} />
      <div
        role="grid"
        className="fj-table"
        aria-label="Units"
        aria-rowcount={total + 1}
        aria-colcount={columns.length}
        aria-activedescendant={rows.has(at) ? rowId(props.job, at) : undefined}
        tabIndex={0}
        onKeyDown={onKeyDown}
      >
        <div role="row" className="fj-table-head" aria-rowindex={1} style={headStyle}>
          {columns.map(column => (
            <span key={column.title} role="columnheader">
              {column.title}
            </span>
          ))}
        </div>
        <div ref={body} className="fj-table-body" role="rowgroup" onScroll={measure} style={{ minWidth: neededBy(columns) }}>
          <div role="presentation" style={{ height: total * ROW_PIXELS }}>
            {shown.map(row => (
              <Row
                key={row}
                id={rowId(props.job, row)}
                row={row}
                unit={rows.get(row)}
                now={props.now}
                columns={columns}
                style={style}
                current={row === at}
                selected={rows.get(row)?.index === props.selected && props.selected !== null}
                choose={() => go(row)}
              />
            ))}
          </div>
        </div>
      </div>
      {!total && <p className="fj-hint">No units.</p>}
      <span className="fj-hidden" aria-live="polite">
        {counted(total, 'unit')}
      </span>
    </>
  );
}

/** What a column may have to say. */
type Said = 'step' | 'error';

interface IColumn {
  title: string;
  /** As a grid takes it; `least` is what it needs at least. */
  width: string;
  least: number;
  text: (unit: IUnit, now: number | null) => string | JSX.Element;
  /** What a narrow column may cut off. */
  whole?: (unit: IUnit) => string;
  /** Left out where no unit says that. */
  says?: Said;
  className?: string;
}

const COLUMNS: IColumn[] = [
  fixed('Unit', 52, unit => String(unit.index)),
  fixed('Status', 92, unit => <Status status={unit.status} />),
  fixed('Step', 36, unit => String(unit.step), 'step'),
  {
    ...growing('Image', 110, 2, imageOf),
    text: unit => <bdi>{imageOf(unit)}</bdi>,
    className: 'fj-path'
  },
  fixed('Time', 76, secondsOf),
  // These come with the first unit that is done, and nothing shall move for it.
  fixed('Memory', 64, unit => (unit.peak_memory === null ? '' : bytes(unit.peak_memory))),
  { ...fixed('Node', 90, nodeOf), whole: nodeOf },
  { ...growing('Error', 140, 3, errorOf), says: 'error' }
];

/** What goes first where there is too little room: it stands beside the log of a unit, too. */
const DISPENSABLE = ['Node', 'Memory', 'Step', 'Time'];
const GAP = 12;
const PADDING = 24;

function fixed(title: string, width: number, text: IColumn['text'], says?: Said): IColumn {
  return { title, width: `${width}px`, least: width, text, says };
}

function growing(
  title: string,
  least: number,
  part: number,
  text: (unit: IUnit) => string
): IColumn {
  return { title, width: `minmax(${least}px, ${part}fr)`, least, text, whole: text };
}

function neededBy(columns: IColumn[]): number {
  return columns.reduce((all, column) => all + column.least + GAP, PADDING - GAP);
}

/** The columns that say something, and for which there is room. */
function columnsFor(width: number, said: Set<Said>, steps: number): IColumn[] {
  let columns = COLUMNS.filter(
    ({ says }) => !says || (says === 'step' ? steps > 1 : said.has(says))
  );
  for (const title of DISPENSABLE) {
    if (width && neededBy(columns) > width) {
      columns = columns.filter(column => column.title !== title);
    }
  }
  return columns;
}

/** What units say, each of which has a column of its own. */
function saidBy(unit: IUnit): Said[] {
  return unit.error ? ['error'] : [];
}

function imageOf(unit: IUnit): string {
  return printable(unit.zarr_url ?? 'all images');
}

function nodeOf(unit: IUnit): string {
  return printable(unit.node ?? '');
}

function errorOf(unit: IUnit): string {
  return printable(unit.error ?? '');
}

function secondsOf({ status, started, ended }: IUnit, now: number | null): string {
  if (started === null || ended !== null) {
    return started === null ? '' : duration(ended! - started);
  }
  return status === 'running' && now !== null ? soFar(now - started) : '';
}

function rowId(job: number, row: number): string {
  return `fj-unit-${job}-${row}`;
}

function Row(props: {
  id: string;
  row: number;
  unit: IUnit | undefined;
  now: number | null;
  columns: IColumn[];
  style: React.CSSProperties;
  current: boolean;
  selected: boolean;
  choose: () => void;
}): JSX.Element {
  const { unit } = props;
  return (
    <div
      id={props.id}
      role="row"
      className={`fj-table-row ${props.current ? 'fj-mod-current' : ''}`}
      aria-rowindex={props.row + 2}
      aria-selected={props.selected}
      style={{ ...props.style, top: props.row * ROW_PIXELS, height: ROW_PIXELS }}
      onClick={props.choose}
    >
      {props.columns.map(column => (
        <span
          key={column.title}
          role="gridcell"
          className={column.className}
          title={unit && column.whole?.(unit)}
        >
          {unit ? column.text(unit, props.now) : '…'}
        </span>
      ))}
    </div>
  );
}

/** In which row a unit stands. */
function rowOf(reveal: IReveal, segments: ISegment[], step: number | undefined): number {
  const { timeline, position } = reveal;
  const statusOf = (at: number) => timeline.statuses[timeline.status[at]];
  const own = segments.findIndex(segment => segment.statuses.includes(statusOf(position)));
  let row = segments.slice(0, Math.max(0, own)).reduce((all, segment) => all + segment.length, 0);
  for (let at = 0; at < position; at++) {
    const shown = step === undefined || timeline.step[at] === step;
    if (shown && segments[own]?.statuses.includes(statusOf(at))) {
      row += 1;
    }
  }
  return row;
}

/** The units of the rows from `first` to `last`, read a page at a time as they are needed. */
function useRows(
  job: number,
  step: number | undefined,
  segments: ISegment[],
  first: number,
  last: number
): { rows: Map<number, IUnit>; said: Set<Said>; error: string | null } {
  const { api, changes } = useFractal();
  const [, redraw] = useState(0);
  const [error, setError] = useState<string | null>(null);
  // Pages by segment and number; what is old is shown until what is new has come.
  const pages = useRef(new Map<string, { items: IUnit[]; version: number; asked: number }>());
  const version = useRef(0);
  // A column that was shown stays.
  const said = useRef(new Set<Said>());

  useEffect(() => {
    const listen = (_: unknown, told: IChange[] | null) => {
      if (concerns(told, ['job'], job)) {
        version.current += 1;
        redraw(count => count + 1);
      }
    };
    changes.told.connect(listen);
    return () => void changes.told.disconnect(listen);
  }, [changes, job]);

  const needed = pagesBetween(segments, first, last);
  useEffect(() => {
    for (const { segment, number } of needed) {
      const key = `${segment}/${number}`;
      const page = pages.current.get(key) ?? { items: [], version: -1, asked: -1 };
      if (page.asked === version.current) {
        continue;
      }
      page.asked = version.current;
      pages.current.set(key, page);
      const asked = version.current;
      const query = {
        limit: PAGE,
        offset: number * PAGE,
        status: segments[segment].statuses,
        step
      };
      api.units(job, query).then(
        found => {
          if (asked >= page.version) {
            page.items = found.items;
            page.version = asked;
            found.items.flatMap(saidBy).forEach(one => said.current.add(one));
            setError(null);
            redraw(count => count + 1);
          }
        },
        reason => setError(messageOf(reason))
      );
    }
  });

  const rows = new Map<number, IUnit>();
  let begin = 0;
  segments.forEach((segment, position) => {
    const from = Math.max(first, begin);
    const to = Math.min(last, begin + segment.length);
    for (let row = from; row < to; row++) {
      const page = pages.current.get(`${position}/${Math.floor((row - begin) / PAGE)}`);
      const unit = page?.items[(row - begin) % PAGE];
      if (unit) {
        rows.set(row, unit);
      }
    }
    begin += segment.length;
  });
  return { rows, said: said.current, error };
}

function pagesBetween(
  segments: ISegment[],
  first: number,
  last: number
): { segment: number; number: number }[] {
  const found = [];
  let begin = 0;
  for (const [segment, { length }] of segments.entries()) {
    const from = Math.max(first, begin) - begin;
    const to = Math.min(last, begin + length) - begin;
    if (to > from) {
      for (let number = Math.floor(from / PAGE); number * PAGE < to; number++) {
        found.push({ segment, number });
      }
    }
    begin += length;
  }
  return found;
}
