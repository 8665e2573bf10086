/**
 * The units of a job over time: a lane for each that runs beside others on a node. All units of a
 * status are one path, so that ten thousand of them are as quick as ten.
 */

import React, { KeyboardEvent, useEffect, useId, useMemo, useRef, useState } from 'react';

import { IJob, ITimeline, UnitStatus } from './api';
import { soFar } from './clock';
import { ILane, endOf, lanesOf, pathsOf, tickText, ticksOf, unitAt } from './lanes';
import { Problem } from './parts';
import { UNIT_STATUSES, counted, duration, printable, toneOf } from './words';

/** A unit that was chosen, with what tells in which row of a table it stands. */
export interface IReveal {
  timeline: ITimeline;
  position: number;
}

/** How long to rest before it is fetched again: 100,000 units cost the server a good half second. */
export const TIMELINE_REST = 10;

const LABEL_PIXELS = 110;
const AXIS_PIXELS = 22;
/** What is drawn wider than it is has room at the right end. */
const END_PIXELS = 4;
const LEAST_LABEL_PIXELS = 12;
/** What the words of a moment need. */
const LEAST_ROOM_PIXELS = 50;
const MOST_LABEL_CHARACTERS = 15;

export function Timeline(props: {
  job: IJob;
  timeline: ITimeline | undefined;
  error: string | null;
  /** How many seconds old the timeline is: what runs has gone on meanwhile. */
  age: number;
  selected: number | null;
  select: (reveal: IReveal) => void;
}): JSX.Element | null {
  const { timeline } = props;
  return (
    <section className="fj-timeline" aria-label="Timeline">
      <h2>Timeline</h2>
      <Problem text={props.error} />
      {timeline &&
        (timeline.origin === null ? (
          <p className="fj-hint">Nothing has started yet.</p>
        ) : (
          <Chart {...props} fetched={timeline} />
        ))}
    </section>
  );
}

/** A place in the chart: a lane, and a unit in it. */
interface ICursor {
  lane: number;
  place: number;
}

function Chart(props: {
  job: IJob;
  fetched: ITimeline;
  age: number;
  selected: number | null;
  select: (reveal: IReveal) => void;
}): JSX.Element {
  const { job, fetched } = props;
  const runs = useMemo(() => fetched.status.some((_, at) => isRunning(fetched, at)), [fetched]);
  const age = runs ? props.age : 0;
  const timeline = useMemo(() => ({ ...fetched, now: fetched.now + age }), [fetched, age]);
  const id = useId().replace(/:/g, '');
  const frame = useRef<HTMLDivElement>(null);
  const width = useWidth(frame) - LABEL_PIXELS - END_PIXELS;
  const [pointed, setCursor] = useState<ICursor | null>(null);
  const lanes = useMemo(() => lanesOf(fetched), [fetched]);
  // What was pointed at may have gone: a retry begins anew.
  const cursor = pointed && pointed.place < (lanes[pointed.lane]?.units.length ?? 0) ? pointed : null;
  const height = Math.max(4, Math.min(18, Math.floor(240 / Math.max(1, lanes.length))));
  const now = runs ? timeline.now - timeline.origin! : 0;
  const span = Math.max(0.001, now, ...lanes.map(lane => lane.until));
  const scale = { pixelsPerSecond: Math.max(0, width) / span, laneHeight: height };
  const paths = useMemo(() => pathsOf(timeline, lanes, scale), [timeline, width]);
  const bottom = lanes.length * height;

  const position = cursor ? lanes[cursor.lane].units[cursor.place] : null;
  const choose = (at: number | null) => at !== null && props.select({ timeline, position: at });
  const under = (event: React.MouseEvent<SVGElement>): ICursor | null => {
    const box = event.currentTarget.getBoundingClientRect();
    const lane = Math.floor((event.clientY - box.top) / height);
    const seconds = (event.clientX - box.left - LABEL_PIXELS) / scale.pixelsPerSecond;
    const slack = 4 / scale.pixelsPerSecond;
    const drawn = (event.target as Element).getAttribute('data-status') as UnitStatus | null;
    const place = lanes[lane]
      ? unitAt(timeline, lanes[lane], seconds, slack, drawn ?? undefined)
      : -1;
    return place < 0 ? null : { lane, place };
  };
  const unitIn = ({ lane, place }: ICursor) => lanes[lane].units[place];
  const onKeyDown = (event: KeyboardEvent) => {
    const at = cursor ?? { lane: 0, place: 0 };
    const last = (lane: number) => lanes[lane].units.length - 1;
    const beside = (lane: number): ICursor => {
      const to = Math.max(0, Math.min(lanes.length - 1, lane));
      const seconds = timeline.started[unitIn(at)]!;
      return { lane: to, place: Math.max(0, unitAt(timeline, lanes[to], seconds, Infinity)) };
    };
    const moves: Record<string, () => ICursor> = {
      ArrowRight: () => ({ ...at, place: Math.min(last(at.lane), at.place + (cursor ? 1 : 0)) }),
      ArrowLeft: () => ({ ...at, place: Math.max(0, at.place - 1) }),
      ArrowDown: () => beside(at.lane + 1),
      ArrowUp: () => beside(at.lane - 1),
      Home: () => ({ ...at, place: 0 }),
      End: () => ({ ...at, place: last(at.lane) })
    };
    if (event.key in moves) {
      event.preventDefault();
      setCursor(moves[event.key]());
    } else if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      choose(position);
    }
  };
  const before = lanes.slice(0, cursor?.lane ?? 0).reduce((all, lane) => all + lane.units.length, 0);
  const words = position === null ? '' : unitWords(job, timeline, position);
  const many = lanes.reduce((all, lane) => all + lane.units.length, 0);
  return (
    <>
      <Legend id={id} timeline={fetched} />
      <div ref={frame} className="fj-timeline-frame">
        <svg
          width="100%"
          height={bottom + AXIS_PIXELS}
          role="slider"
          tabIndex={0}
          aria-label="Units over time"
          aria-valuemin={1}
          aria-valuemax={many}
          aria-valuenow={cursor ? before + cursor.place + 1 : 1}
          aria-valuetext={words || `${counted(many, 'unit')}; the arrow keys go from one to the next`}
          onKeyDown={onKeyDown}
          onMouseMove={event => {
            const found = under(event);
            if (found?.lane !== cursor?.lane || found?.place !== cursor?.place) {
              setCursor(found);
            }
          }}
          onClick={event => {
            const found = under(event);
            choose(found && unitIn(found));
          }}
        >
          <Patterns id={id} />
          <Axis span={span} width={width} bottom={bottom} />
          <Nodes timeline={timeline} lanes={lanes} height={height} />
          <g transform={`translate(${LABEL_PIXELS} 0)`}>
            {DRAWN.map(
              status =>
                paths[status] && (
                  <path key={status} data-status={status} d={paths[status]} fill={`url(#${id}-${status})`} />
                )
            )}
            {[positionOf(timeline, props.selected), position].map((marked, at) => (
              <Mark key={at} timeline={timeline} lanes={lanes} scale={scale} position={marked} />
            ))}
          </g>
        </svg>
      </div>
      <p className="fj-timeline-words fj-soft">
        {words || 'Point at a unit, or go to it with the arrow keys; click, or Enter, shows it below.'}
      </p>
    </>
  );
}

function useWidth(frame: React.RefObject<HTMLElement>): number {
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const watcher = new ResizeObserver(() => setWidth(frame.current?.clientWidth ?? 0));
    watcher.observe(frame.current!);
    return () => watcher.disconnect();
  }, []);
  return width;
}

function isRunning(timeline: ITimeline, position: number): boolean {
  return timeline.statuses[timeline.status[position]] === 'running';
}

/** Where a unit stands in the columns; units are in the order of their indexes. */
function positionOf(timeline: ITimeline, index: number | null): number | null {
  if (index === null) {
    return null;
  }
  const found = timeline.index[index] === index ? index : timeline.index.indexOf(index);
  return found < 0 || timeline.started[found] === null ? null : found;
}

function unitWords(job: IJob, timeline: ITimeline, position: number): string {
  const { index, step, status, started, ended, node } = timeline;
  const begin = started[position]!;
  const end = ended[position];
  const task = job.steps.find(one => one.position === step[position])?.task ?? '';
  const place = node[position];
  return printable(
    [
      `Unit ${index[position]}`,
      timeline.statuses[status[position]],
      task,
      `began after ${duration(begin)}`,
      end === null ? `runs for ${soFar(endOf(timeline, position) - begin)}` : `took ${duration(end - begin)}`,
      ...(place === null ? [] : [timeline.nodes[place]])
    ].join(' · ')
  );
}

function Legend(props: { id: string; timeline: ITimeline }): JSX.Element {
  const { statuses, status, started } = props.timeline;
  const counts = new Map<UnitStatus, number>();
  status.forEach((code, position) => {
    if (started[position] !== null) {
      counts.set(statuses[code], (counts.get(statuses[code]) ?? 0) + 1);
    }
  });
  return (
    <ul className="fj-timeline-legend" aria-label="Colours and patterns">
      {UNIT_STATUSES.filter(one => counts.has(one)).map(one => (
        <li key={one}>
          <svg width={18} height={12} aria-hidden="true">
            <rect width={18} height={12} fill={`url(#${props.id}-${one})`} />
          </svg>
          {`${one} (${counts.get(one)!.toLocaleString('en')})`}
        </li>
      ))}
    </ul>
  );
}

/** What somebody looks for is drawn last, on top of what it would be lost in. */
const DRAWN = [...UNIT_STATUSES].reverse();

/** What statuses look like, beside their colours: lines in different directions. */
const LINES: Partial<Record<UnitStatus, string>> = {
  failed: 'M0 0L6 6M6 0L0 6',
  interrupted: 'M0 6L6 0',
  cancelled: 'M0 3H6',
  running: 'M3 0V6'
};

function Patterns(props: { id: string }): JSX.Element {
  return (
    <defs>
      {UNIT_STATUSES.map(status => (
        <pattern
          key={status}
          id={`${props.id}-${status}`}
          width={6}
          height={6}
          patternUnits="userSpaceOnUse"
          data-tone={toneOf(status)}
        >
          <rect width={6} height={6} className="fj-tone-fill" />
          <path d={LINES[status] ?? ''} className="fj-tone-lines" />
        </pattern>
      ))}
    </defs>
  );
}

function Axis(props: { span: number; width: number; bottom: number }): JSX.Element {
  const { span, width, bottom } = props;
  const ticks = ticksOf(span, width);
  return (
    <g className="fj-axis" aria-hidden="true">
      {ticks.map(seconds => {
        const x = LABEL_PIXELS + (seconds / span) * width;
        return (
          <g key={seconds}>
            <path d={`M${x} 0V${bottom + 4}`} />
            {x + LEAST_ROOM_PIXELS < LABEL_PIXELS + width && (
              <text x={x + 3} y={bottom + 15}>
                {tickText(seconds, ticks)}
              </text>
            )}
          </g>
        );
      })}
    </g>
  );
}

/** The names of nodes, where there is room, and lines between them. */
function Nodes(props: { timeline: ITimeline; lanes: ILane[]; height: number }): JSX.Element {
  const { timeline, lanes, height } = props;
  // Where no node is known yet, nothing is said of them.
  const unknown = timeline.nodes.length ? 'node unknown' : '';
  const first = lanes.map((_, i) => i).filter(i => lanes[i].node !== lanes[i - 1]?.node);
  return (
    <g className="fj-axis" aria-hidden="true">
      {first.map((begin, i) => {
        const room = ((first[i + 1] ?? lanes.length) - begin) * height;
        const node = lanes[begin].node;
        const name = node === null ? unknown : printable(timeline.nodes[node]);
        const short = name.length > MOST_LABEL_CHARACTERS;
        return (
          <g key={begin}>
            {begin > 0 && <path d={`M0 ${begin * height}H10000`} />}
            {room >= LEAST_LABEL_PIXELS && (
              <text x={0} y={begin * height + Math.min(room, 18) / 2 + 4}>
                {short ? `${name.slice(0, MOST_LABEL_CHARACTERS - 1)}…` : name}
                <title>{name}</title>
              </text>
            )}
          </g>
        );
      })}
    </g>
  );
}

/** A frame around one unit. */
function Mark(props: {
  timeline: ITimeline;
  lanes: ILane[];
  scale: { pixelsPerSecond: number; laneHeight: number };
  position: number | null;
}): JSX.Element | null {
  const { timeline, lanes, scale, position } = props;
  const lane = useMemo(
    () => (position === null ? -1 : lanes.findIndex(one => one.units.includes(position))),
    [lanes, position]
  );
  if (position === null || lane < 0) {
    return null;
  }
  const begin = timeline.started[position]!;
  const end = endOf(timeline, position);
  return (
    <rect
      className="fj-mark"
      x={begin * scale.pixelsPerSecond - 1}
      y={lane * scale.laneHeight}
      width={Math.max(1, (end - begin) * scale.pixelsPerSecond) + 2}
      height={scale.laneHeight}
    />
  );
}
