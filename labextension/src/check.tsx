/** What a check of a resource or a profile has found. */

import { Dialog, showDialog } from '@jupyterlab/apputils';
import React from 'react';

import { ICheck } from './api';
import { useFractal } from './fractal';
import { useFetched } from './live';
import { ActionButton, Problem } from './parts';
import { useReveal } from './reveal';
import { printable, printableLines } from './words';

/**
 * @param props.placed - Whether a dataset to try a job in can be chosen above.
 * @param props.trust - Trusts the key of a host from now on; none where that cannot be said here.
 */
export function CheckResult(props: {
  activity: number;
  placed: boolean;
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
  const tried = found.filter(one => !one.note);
  const bad = tried.filter(one => !one.ok).length;
  const works = tried.length < found.length ? 'all that was tried works' : 'all works';
  const part = useReveal<HTMLElement>(value?.status);
  const words = {
    pending: 'waiting …',
    ongoing: 'trying …',
    OK: bad ? `${bad} of ${tried.length} do not work` : works,
    failed: 'failed',
    cancelled: 'cancelled'
  };
  return (
    <section ref={part} className="fj-check" aria-label="Check">
      <h2>Check</h2>
      <Problem text={error ?? value?.error} />
      <p role="status">{value ? words[value.status] : ''}</p>
      <ul className="fj-list">
        {found.map((one, i) => (
          <li key={i}>
            <span className="fj-status" data-tone={one.note ? 'soft' : one.ok ? 'good' : 'bad'}>
              {`${printable(one.subject)}: ${one.note ? 'note' : one.ok ? 'works' : 'does not work'}`}
            </span>
            <div className="fj-help">{printableLines(one.found)}</div>
            {one.cure && <div className="fj-cure">{cureWords(one, props.placed)}</div>}
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

/** What to do about it: where a check can be given a dataset, not how code gives it one. */
function cureWords(check: ICheck, placed: boolean): string {
  return check.note && placed
    ? 'Choose a dataset above to try a job in, and check again.'
    : printableLines(check.cure);
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
