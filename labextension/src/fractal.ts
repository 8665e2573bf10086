/** What all views share. */

import { CommandRegistry } from '@lumino/commands';
import { createContext, useContext } from 'react';

import { Api, Json } from './api';
import type { ICollectGiven } from './kinds';
import { Changes } from './live';
import { ActiveProfile } from './profile';

/** What was filled in where something is submitted. */
export interface IFilled {
  /** Of a task, the arguments of each part. */
  args?: Record<string, Json>;
  options?: Json;
  dataset?: number;
}

/** What a main-area view shows; enough to open it again after a reload. */
export type View =
  /** `unit` is the one that is chosen in the job. */
  | { view: 'job'; id: number; unit?: number; title?: string }
  | { view: 'task'; id: number; filled?: IFilled; title?: string }
  /** `given` is what the form begins with, `filled` what it was changed to since. */
  | {
      view: 'collect';
      activity?: number;
      given?: ICollectGiven;
      filled?: ICollectGiven;
      title?: string;
    }
  | { view: 'task_group'; id: number; title?: string }
  | { view: 'activity'; id: number; title?: string }
  | { view: 'clean'; title?: string }
  | { view: 'workflow'; id?: number; filled?: IFilled; title?: string }
  | { view: 'resource'; id?: number; title?: string }
  /** `resource` is that of a new one. */
  | { view: 'profile'; id?: number; resource?: number; title?: string };

/** What a view in which something is edited tells the widget around it. */
export interface IFrame {
  /** Tell whether something would be lost if it were closed. */
  setDirty: (dirty: boolean) => void;
  /** Tell what it shows now: what was new has got an id, say. */
  setView: (view: View) => void;
  /** Close it, since what it shows is gone. */
  discard: () => void;
}

export interface IFractal {
  api: Api;
  changes: Changes;
  commands: CommandRegistry;
  profile: ActiveProfile;
  /** Open a view in the main area, or go to it. */
  open: (view: View) => void;
}

export const CommandIDs = {
  open: 'fractal:open',
  panel: 'fractal:show-panel',
  collect: 'fractal:collect',
  clean: 'fractal:clean',
  addWorkflow: 'fractal:add-workflow',
  addResource: 'fractal:add-resource',
  addProfile: 'fractal:add-profile',
  editResource: 'fractal:edit-resource',
  editProfile: 'fractal:edit-profile',
  latest: 'fractal:open-latest-job',
  refresh: 'fractal:refresh'
} as const;

export const FractalContext = createContext<IFractal | null>(null);

export function useFractal(): IFractal {
  const fractal = useContext(FractalContext);
  if (!fractal) {
    throw new Error('There is no Fractal here.');
  }
  return fractal;
}
