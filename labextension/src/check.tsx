/** What a check of a resource or a profile has found. */

import { Dialog, showDialog } from '@jupyterlab/apputils';
import React from 'react';

import { ICheck } from './api';
import { useFractal } from './fractal';
import { useFetched } from './live';
import { ActionButton, Problem } from './parts';
import { printable, printableLines } from './words';

/** @param props.trust - Trusts the key of a host from now on; none where that cannot be said here. */
export function CheckResult(props: {
  activity: number;
  trust?: (fingerprint: string) => Promise<void>;
}): JSX.Element {
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
            {one.fingerprint && props.trust && (
              <ActionButton
                label="Trust this key…"
                action={async () => {
                  if (await isTheSame(one.fingerprint)) {
                    await props.trust!(one.fingerprint);
                  }
                }}
              />
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Only people can compare what a host shows with what its administrator says. */
async function isTheSame(fingerprint: string): Promise<boolean> {
  const answer = await showDialog({
    title: 'Trust the key of this host?',
    body:
      `Its fingerprint is ${printable(fingerprint)}. Trust it only if the administrator of ` +
      'that machine tells you the same: somebody else could be answering in its place.',
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: 'It is the same: trust it' })]
  });
  return answer.button.accept;
}
