/** What has just appeared is brought into sight; the focus stays where it is. */

import { RefObject, useEffect, useRef } from 'react';

const SLACK_PIXELS = 8;

/**
 * Bring the element that this is the reference of into sight, and keep its end there while it
 * grows, unless somebody has scrolled away from it.
 *
 * @param shown - What it shows: another value when something new has appeared; nothing if it is
 * not to be brought into sight.
 */
export function useReveal<T extends HTMLElement>(shown: unknown): RefObject<T> {
  const reference = useRef<T>(null);
  useEffect(() => {
    const part = reference.current;
    if (!part || shown === null || shown === undefined) {
      return;
    }
    const reveal = () => part.scrollIntoView({ block: 'nearest' });
    reveal();
    let height = part.offsetHeight;
    const observer = new ResizeObserver(() => {
      const end = part.getBoundingClientRect().top + height;
      const seen = part.closest('.fj-root')?.getBoundingClientRect().bottom ?? window.innerHeight;
      if (part.offsetHeight > height && end <= seen + SLACK_PIXELS) {
        reveal();
      }
      height = part.offsetHeight;
    });
    observer.observe(part);
    return () => observer.disconnect();
  }, [shown]);
  return reference;
}
