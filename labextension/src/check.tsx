/** What a check of a resource or a profile has found. */

import React from 'react';

import { ICheck } from './api';
import { useFractal } from './fractal';
import { useFetched } from './live';
import { Problem } from './parts';
import { printable, printableLines } from './words';

export function CheckResult(props: { activity: number }): JSX.Element {
  const { api, changes } = useFractal();
  const { value, error } = useFetched(
    changes,
    { kinds: ['activity'], id: props.activity },
    () => api.activity(props.activity),
    [props.activity]
  );
  const found = value?.status === 'OK' ? (value.result as ICheck[]) : [];
  const bad = found.filter(one => !one.ok).length;
  const words = {
    pending: 'waiting …',
    ongoing: 'trying …',
    OK: bad ? `${bad} of ${found.length} do not work` : 'all works',
    failed: 'failed',
    cancelled: 'cancelled'
  };
  return (
    <section className="fj-check" aria-label="Check">
      <h2>Check</h2>
      <Problem text={error ?? value?.error} />
      <p role="status">{value ? words[value.status] : ''}</p>
      <ul className="fj-list">
        {found.map((one, i) => (
          <li key={i}>
            <span className="fj-status" data-tone={one.ok ? 'good' : 'bad'}>
              {`${printable(one.subject)}: ${one.ok ? 'works' : 'does not work'}`}
            </span>
            <div className="fj-help">{printableLines(one.found)}</div>
            {!one.ok && <div className="fj-cure">{printableLines(one.cure)}</div>}
          </li>
        ))}
      </ul>
    </section>
  );
}
