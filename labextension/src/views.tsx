/** From React components to widgets of JupyterLab. */

import { ReactWidget } from '@jupyterlab/ui-components';
import { ISignal, Signal } from '@lumino/signaling';
import React from 'react';

import { ActivityView } from './activity';
import { CleanView } from './clean';
import { CollectView } from './collect';
import { DocumentEditor } from './editor';
import { FractalContext, IFractal, IFrame, View } from './fractal';
import { JobView } from './job';
import { Panel } from './panel';
import { RunningJobs } from './running';
import { StatusItem } from './status';
import { TaskView } from './task';
import { TaskGroupView } from './taskgroup';
import { WorkflowView } from './workflow';

abstract class FractalWidget extends ReactWidget {
  constructor(private readonly fractal: IFractal) {
    super();
  }

  protected abstract content(): JSX.Element;

  protected render(): JSX.Element {
    return <FractalContext.Provider value={this.fractal}>{this.content()}</FractalContext.Provider>;
  }
}

export class PanelWidget extends FractalWidget {
  constructor(fractal: IFractal) {
    super(fractal);
    this.addClass('fj-root');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'Fractal');
  }

  protected content(): JSX.Element {
    return <Panel />;
  }

  protected onActivateRequest(): void {
    void this.renderPromise?.then(() =>
      this.node.querySelector<HTMLElement>('select:enabled, button:enabled, summary')?.focus()
    );
  }
}

export class StatusWidget extends FractalWidget {
  constructor(
    fractal: IFractal,
    private readonly running: RunningJobs
  ) {
    super(fractal);
  }

  protected content(): JSX.Element {
    return <StatusItem running={this.running} />;
  }
}

/** What stands in the main area. */
export class ViewWidget extends FractalWidget implements IFrame {
  constructor(fractal: IFractal, view: View) {
    super(fractal);
    this._view = view;
    this.addClass('fj-root');
  }

  /** What it shows. */
  get view(): View {
    return this._view;
  }

  /** Whether something would be lost if it were closed. */
  get dirty(): boolean {
    return this._dirty;
  }

  setDirty = (dirty: boolean) => {
    if (dirty !== this._dirty) {
      this._dirty = dirty;
      this._dirtyChanged.emit();
    }
  };

  setView = (view: View) => {
    this._view = view;
    this._viewChanged.emit();
  };

  discard = () => this.dispose();

  get dirtyChanged(): ISignal<this, void> {
    return this._dirtyChanged;
  }

  /** Emitted when it shows something else. */
  get viewChanged(): ISignal<this, void> {
    return this._viewChanged;
  }

  protected content(): JSX.Element {
    const view = this._view;
    switch (view.view) {
      case 'job':
        return (
          <JobView
            id={view.id}
            unit={view.unit}
            chose={unit => this.setView({ ...view, unit })}
            removed={this.discard}
          />
        );
      case 'task':
        return (
          <TaskView
            id={view.id}
            filled={view.filled}
            keep={filled => this.setView({ ...(this._view as typeof view), filled })}
          />
        );
      case 'collect':
        return (
          <CollectView
            activity={view.activity}
            given={view.filled ?? view.given}
            keep={kept => this.setView({ ...(this._view as typeof view), ...kept })}
          />
        );
      case 'task_group':
        return <TaskGroupView id={view.id} />;
      case 'activity':
        return <ActivityView id={view.id} />;
      case 'clean':
        return <CleanView />;
      case 'workflow':
        return (
          <WorkflowView
            id={view.id}
            frame={this}
            filled={view.filled}
            keep={filled => this.setView({ ...(this._view as typeof view), filled })}
          />
        );
      case 'resource':
      case 'profile':
        return (
          <DocumentEditor
            noun={view.view}
            id={view.id}
            resource={view.view === 'profile' ? view.resource : undefined}
            frame={this}
          />
        );
    }
  }

  private _view: View;
  private _dirty = false;
  private readonly _dirtyChanged = new Signal<this, void>(this);
  private readonly _viewChanged = new Signal<this, void>(this);
}

/** The same for views that show the same thing; one of each is open at most. */
export function viewName(view: View): string {
  switch (view.view) {
    case 'collect':
      return `collect${view.given ? `:${JSON.stringify(view.given)}` : ''}`;
    case 'clean':
      return 'clean';
    default:
      return `${view.view}:${view.id ?? 'new'}`;
  }
}
