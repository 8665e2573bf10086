/** From times of units to lanes and paths: pure, and linear in the number of units. */

import { ITimeline, UnitStatus } from './api';
import { duration } from './words';

/** Units that ran one after the other on a node; positions in the columns, by their start. */
export interface ILane {
  node: number | null;
  units: number[];
  /** When the last of them ended, or now. */
  until: number;
}

export interface IScale {
  pixelsPerSecond: number;
  laneHeight: number;
}

/** Units that are closer than this are drawn as one. */
const MERGED_PIXELS = 0.25;
/** What somebody looks for is never narrower than this. */
const LEAST_PIXELS = 3;
const PLAIN: UnitStatus[] = ['done', 'pending'];

export function endOf(timeline: ITimeline, position: number): number {
  return timeline.ended[position] ?? Math.max(0, timeline.now - (timeline.origin ?? timeline.now));
}

/** Put what has started into as few lanes as there were units side by side, node by node. */
export function lanesOf(timeline: ITimeline): ILane[] {
  const { started } = timeline;
  const node = timeline.node.map((known, position) => known ?? likelyNode(timeline, position));
  const place = (position: number) => node[position] ?? Infinity;
  const order = timeline.index
    .map((_, position) => position)
    .filter(position => started[position] !== null)
    .sort((one, other) =>
      place(one) === place(other) ? started[one]! - started[other]! : place(one) - place(other)
    );
  const lanes: ILane[] = [];
  let begin = 0;
  for (const position of order) {
    if (begin < lanes.length && lanes[begin].node !== node[position]) {
      begin = lanes.length;
    }
    let at = begin;
    while (at < lanes.length && lanes[at].until > started[position]!) {
      at += 1;
    }
    if (at === lanes.length) {
      lanes.push({ node: node[position], units: [], until: 0 });
    }
    lanes[at].units.push(position);
    lanes[at].until = Math.max(lanes[at].until, endOf(timeline, position));
  }
  return lanes;
}

/** A node is told when a unit ends: what still runs is most likely on the only one that is known. */
function likelyNode(timeline: ITimeline, position: number): number | null {
  return timeline.nodes.length === 1 && timeline.ended[position] === null ? 0 : null;
}

/** The outline of all units of each status; those that no eye can tell apart are merged. */
export function pathsOf(
  timeline: ITimeline,
  lanes: ILane[],
  scale: IScale
): Partial<Record<UnitStatus, string>> {
  const parts: Partial<Record<UnitStatus, string[]>> = {};
  const { pixelsPerSecond, laneHeight } = scale;
  const gap = laneHeight > 6 ? 2 : 1;
  lanes.forEach((lane, row) => {
    const top = row * laneHeight;
    const open = new Map<UnitStatus, { from: number; to: number }>();
    const close = (status: UnitStatus) => {
      const bar = open.get(status);
      if (bar) {
        const width = Math.max(1, bar.to - bar.from - 0.5);
        const path = `M${bar.from.toFixed(1)} ${top}h${width.toFixed(1)}v${laneHeight - gap}h-${width.toFixed(1)}z`;
        (parts[status] ??= []).push(path);
      }
    };
    for (const position of lane.units) {
      const status = timeline.statuses[timeline.status[position]];
      const least = PLAIN.includes(status) ? 1 : LEAST_PIXELS + 0.5;
      const from = timeline.started[position]! * pixelsPerSecond;
      const to = Math.max(from + least, endOf(timeline, position) * pixelsPerSecond);
      const bar = open.get(status);
      if (bar && from - bar.to < MERGED_PIXELS && to - from <= least + 2) {
        bar.to = Math.max(bar.to, to);
      } else {
        close(status);
        open.set(status, { from, to });
      }
    }
    [...open.keys()].forEach(close);
  });
  return Object.fromEntries(
    Object.entries(parts).map(([status, paths]) => [status, paths.join('')])
  );
}

/**
 * Where in a lane the unit of a moment is: the one that ran then, else the nearest one.
 *
 * @param slack - How far away it may be, in seconds.
 * @param status - Only one of this status: what is drawn wider than it is covers others.
 * @returns Its place in the lane; -1 if there is none.
 */
export function unitAt(
  timeline: ITimeline,
  lane: ILane,
  seconds: number,
  slack: number,
  status?: UnitStatus
): number {
  const { units } = lane;
  let low = 0;
  let high = units.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (timeline.started[units[middle]]! <= seconds) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  const distance = (place: number) =>
    Math.max(0, timeline.started[units[place]]! - seconds, seconds - endOf(timeline, units[place]));
  // The nearest one on either side, those before `low` and those from it on.
  const nearest = (place: number, step: number): number => {
    while (place >= 0 && place < units.length && distance(place) <= slack) {
      if (!status || timeline.statuses[timeline.status[units[place]]] === status) {
        return place;
      }
      place += step;
    }
    return -1;
  };
  const [before, after] = [nearest(low - 1, -1), nearest(low, 1)];
  if (before < 0 || after < 0) {
    return Math.max(before, after);
  }
  return distance(after) < distance(before) ? after : before;
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
const TICK_PIXELS = 110;

/** Moments to write below the chart, in seconds. */
export function ticksOf(span: number, pixels: number): number[] {
  const wanted = span / Math.max(1, pixels / TICK_PIXELS);
  const small = 10 ** Math.floor(Math.log10(wanted));
  const fine = [1, 2, 5, 10].map(factor => factor * small);
  const large = [...STEPS, ...[2, 5, 10, 20, 50, 100, 1000].map(days => days * 86400)];
  const step = (wanted < 1 ? fine : large).find(one => one >= wanted) ?? wanted;
  return Array.from({ length: Math.floor(span / step) + 1 }, (_, i) => i * step);
}

/** What is written at one of some moments: no two look the same. */
export function tickText(seconds: number, ticks: number[]): string {
  const [step, last] = [ticks[1] ?? 1, ticks[ticks.length - 1]];
  if (!seconds) {
    return '0';
  }
  if (step >= 1) {
    return duration(seconds);
  }
  const [value, unit] = last < 1 ? [seconds * 1000, 'ms'] : [seconds, 's'];
  const decimals = Math.ceil(-Math.log10((step * value) / seconds) - 1e-9);
  return `${value.toFixed(Math.max(0, decimals))} ${unit}`;
}
