/** Seconds that go on while something runs, between two answers of the server. */

import { RefObject, useEffect, useRef, useState } from 'react';

import { duration } from './words';

const TICK_MS = 1000;

function browserNow(): number {
  return Date.now() / 1000;
}

/**
 * The time on the browser's clock, once a second.
 *
 * @param going - Whether it goes on; it stands still, too, while `part` cannot be seen.
 */
export function useClock(going: boolean, part: RefObject<HTMLElement>): number {
  const [now, setNow] = useState(browserNow);
  useEffect(() => {
    if (!going) {
      return;
    }
    const tick = () => {
      if (!document.hidden && part.current?.checkVisibility()) {
        setNow(browserNow());
      }
    };
    tick();
    const timer = window.setInterval(tick, TICK_MS);
    return () => window.clearInterval(timer);
  }, [going]);
  return now;
}

/** How many seconds have passed since an answer of the server came. */
export function useAge(answer: unknown, now: number): number {
  const came = useRef({ answer, at: now });
  if (came.current.answer !== answer) {
    came.current = { answer, at: browserNow() };
  }
  return Math.max(0, now - came.current.at);
}

/** How long something has run that still runs: in whole seconds, since it is said every second. */
export function soFar(seconds: number): string {
  return seconds < 60 ? `${Math.max(0, Math.floor(seconds))} s` : duration(Math.floor(seconds));
}
