/** Task groups in words. */

import { ITaskGroup } from './api';
import { bytes, moment } from './words';

const ORIGINS: Record<ITaskGroup['origin'], string> = {
  pypi: 'package index',
  wheel: 'wheel',
  editable: 'source folder',
  pixi: 'pixi',
  custom: 'existing environment'
};

export function originWords(group: ITaskGroup): string {
  return ORIGINS[group.origin];
}

/** What stands beside its name in a list. */
export function aboutGroup(group: ITaskGroup): string {
  const size = group.size_bytes !== null && group.active && bytes(group.size_bytes);
  return [`Python ${group.python_version}`, originWords(group), size].filter(Boolean).join(' · ');
}

/** How large its environment is, and what of it only it has. */
export function sizeWords(group: ITaskGroup): string {
  const { size_bytes: size, own_bytes: own } = group;
  if (size === null || !group.active) {
    return '';
  }
  return own === null || own >= size
    ? bytes(size)
    : `${bytes(size)}; ${bytes(own)} of it is its own, the rest is shared with others`;
}

/** What deleting it, or its environment, does to the disk. */
export function freesWords(group: ITaskGroup): string {
  if (group.origin === 'custom') {
    return 'Its environment stays: somebody else looks after that.';
  }
  if (!group.active) {
    return 'Its environment is gone already.';
  }
  return group.own_bytes === null
    ? 'Its environment is removed.'
    : `Its environment is removed, which frees ${bytes(group.own_bytes)} of the disk.`;
}

export function usedWords(group: ITaskGroup): string {
  return group.last_used === null ? 'by no job yet' : moment(group.last_used);
}
