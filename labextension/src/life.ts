/** What can be done to a task group, and what the server says if it refuses. */

import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import { useState } from 'react';

import { IActivity, ITaskGroup } from './api';
import { IFractal, useFractal } from './fractal';
import { freesWords } from './groups';
import { ICollectGiven } from './kinds';
import { messageOf, useFetched } from './live';
import { groupName, printable } from './words';

export interface IAction {
  label: string;
  act: () => Promise<void>;
  danger?: boolean;
}

export interface ILife {
  actions: IAction[];
  /** Why the last of them was refused, or did not succeed. */
  refused: string | null;
}

export function useLife(group: ITaskGroup): ILife {
  const fractal = useFractal();
  const { api, changes } = fractal;
  const [begun, setBegun] = useState<number | null>(null);
  const [refused, setRefused] = useState<string | null>(null);
  const { value: activity } = useFetched(
    changes,
    { kinds: ['activity'], id: begun ?? -1 },
    async () => (begun === null ? null : api.activity(begun)),
    [begun]
  );
  const tried = (label: string, act: () => Promise<IActivity | void>, danger?: boolean): IAction => ({
    label,
    danger,
    act: async () => {
      setRefused(null);
      setBegun(null);
      try {
        const started = await act();
        if (started) {
          setBegun(started.id);
          changes.everything();
        }
      } catch (reason) {
        setRefused(messageOf(reason));
      }
    }
  });
  const canBeExported = group.origin === 'pypi' || group.origin === 'wheel';
  const again = collectedAgain(group);
  return {
    actions: [
      group.active
        ? tried('Deactivate', () => api.deactivate(group.id))
        : tried('Reactivate', () => api.reactivate(group.id)),
      ...(again
        ? [
            tried(again.label, async () =>
              fractal.open({ view: 'collect', given: again.given, title: 'Collect tasks' })
            )
          ]
        : []),
      ...(canBeExported ? [tried('Export lock file', () => exportLock(fractal, group))] : []),
      tried('Delete…', () => deleteIfSure(fractal, group), true)
    ],
    refused: refused ?? (activity?.id === begun ? (activity?.error ?? null) : null)
  };
}

/** How it is collected once more, where that gives something else than it is. */
function collectedAgain(group: ITaskGroup): { label: string; given: ICollectGiven } | null {
  switch (group.origin) {
    case 'pypi':
      return {
        label: 'Collect another version…',
        given: { kind: 'index', value: { requirement: group.package } }
      };
    case 'editable':
      return {
        label: 'Collect again…',
        given: { kind: 'source', value: { requirement: group.source } }
      };
    case 'custom':
      return {
        label: 'Collect again…',
        given: { kind: 'custom', value: { package: group.package, python: group.python } }
      };
    default:
      return null;
  }
}

async function deleteIfSure({ api }: IFractal, group: ITaskGroup): Promise<IActivity | void> {
  const answer = await showDialog({
    title: `Delete ${printable(groupName(group))}?`,
    body: `${freesWords(group)} Jobs keep their record of what they ran in.`,
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: 'Delete' })]
  });
  return answer.button.accept ? api.deleteGroup(group.id) : undefined;
}

async function exportLock({ api }: IFractal, group: ITaskGroup): Promise<void> {
  download(`${group.package}-${group.version}.lock`, await api.lock(group.id));
  if (group.origin === 'wheel') {
    const { name, content } = await api.wheel(group.id);
    download(
      name,
      Uint8Array.from(atob(content), character => character.charCodeAt(0))
    );
    Notification.info(
      `Where this lock file is collected, ${printable(name)} is needed beside it: it has been ` +
        'downloaded, too.',
      { autoClose: 8000 }
    );
  }
}

function download(name: string, content: BlobPart): void {
  const url = URL.createObjectURL(new Blob([content]));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
