/** Fractal in JupyterLab. */

import { ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import {
  ICommandPalette,
  MainAreaWidget,
  Notification,
  WidgetTracker
} from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStateDB } from '@jupyterlab/statedb';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ReadonlyJSONObject } from '@lumino/coreutils';

import { Api } from './api';
import { CommandIDs, IFractal, View } from './fractal';
import { fractalIcon } from './icon';
import { Changes, messageOf } from './live';
import { ActiveProfile } from './profile';
import { RunningJobs } from './running';
import { PanelWidget, StatusWidget, ViewWidget, viewName } from './views';
import { jobTitle, printable, progressWords } from './words';

const ID = 'fractal-jupyter:plugin';
const NAMESPACE = 'fractal-jupyter';
const PANEL_ID = `${NAMESPACE}-panel`;

const plugin: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: 'Fractal tasks and jobs.',
  autoStart: true,
  optional: [ICommandPalette, ILauncher, ILayoutRestorer, ISettingRegistry, IStateDB, IStatusBar],
  activate
};

function activate(
  app: JupyterFrontEnd,
  palette: ICommandPalette | null,
  launcher: ILauncher | null,
  restorer: ILayoutRestorer | null,
  settings: ISettingRegistry | null,
  state: IStateDB | null,
  statusBar: IStatusBar | null
): void {
  const { commands, serviceManager, shell } = app;
  const fractal: IFractal = {
    api: new Api(serviceManager.serverSettings),
    changes: new Changes(serviceManager.events),
    commands,
    profile: new ActiveProfile(state),
    open: view => void commands.execute(CommandIDs.open, argumentsOf(view))
  };
  const running = new RunningJobs(fractal.api, fractal.changes);

  const panel = new PanelWidget(fractal);
  panel.id = PANEL_ID;
  panel.title.icon = fractalIcon;
  panel.title.caption = 'Fractal';
  shell.add(panel, 'left', { rank: 550 });
  restorer?.add(panel, PANEL_ID);

  addViews(app, fractal, restorer);
  addCommands(app, fractal, palette, launcher);
  notifyOfEnds(running, fractal, settings);
  statusBar?.registerStatusItem(NAMESPACE, {
    item: new StatusWidget(fractal, running),
    align: 'left',
    rank: 500
  });
}

/** Main-area views: opened once each, and again after a reload. */
function addViews(app: JupyterFrontEnd, fractal: IFractal, restorer: ILayoutRestorer | null): void {
  const tracker = new WidgetTracker<MainAreaWidget<ViewWidget>>({ namespace: NAMESPACE });
  const make = (view: View): MainAreaWidget<ViewWidget> => {
    const content = new ViewWidget(fractal, view);
    const widget = new MainAreaWidget({ content });
    widget.id = `${NAMESPACE}:${viewName(view)}`;
    widget.title.label = printable(view.title ?? 'Fractal');
    widget.title.caption = widget.title.label;
    widget.title.icon = fractalIcon;
    widget.title.closable = true;
    content.viewChanged.connect(() => void tracker.save(widget));
    void tracker.add(widget);
    return widget;
  };
  app.commands.addCommand(CommandIDs.open, {
    label: 'Open a View of Fractal',
    describedBy: {
      args: {
        type: 'object',
        required: ['view'],
        properties: {
          view: { type: 'string', enum: ['job', 'task', 'collect'] },
          id: { type: 'integer', description: 'Of the job or the task.' },
          activity: { type: 'integer', description: 'The collection to show.' },
          title: { type: 'string' }
        }
      }
    },
    execute: args => {
      const view = args as unknown as View;
      const known = tracker.find(one => viewName(one.content.view) === viewName(view));
      const widget = known ?? make(view);
      if (!widget.isAttached) {
        app.shell.add(widget, 'main');
      }
      app.shell.activateById(widget.id);
      return widget;
    }
  });
  void restorer?.restore(tracker, {
    command: CommandIDs.open,
    args: widget => argumentsOf(widget.content.view),
    name: widget => viewName(widget.content.view)
  });
}

function addCommands(
  app: JupyterFrontEnd,
  fractal: IFractal,
  palette: ICommandPalette | null,
  launcher: ILauncher | null
): void {
  const { commands, shell } = app;
  const noArguments = { args: { type: 'object', properties: {} } };
  commands.addCommand(CommandIDs.panel, {
    label: 'Fractal Jobs and Tasks',
    caption: 'Choose a task, and watch jobs',
    icon: fractalIcon,
    describedBy: noArguments,
    execute: () => shell.activateById(PANEL_ID)
  });
  commands.addCommand(CommandIDs.collect, {
    label: 'Collect a Fractal Task Package',
    caption: 'Install a package of Fractal tasks',
    icon: fractalIcon,
    describedBy: noArguments,
    execute: () => fractal.open({ view: 'collect', title: 'Collect tasks' })
  });
  commands.addCommand(CommandIDs.latest, {
    label: 'Open the Latest Fractal Job',
    describedBy: noArguments,
    execute: async () => {
      const [job] = (await fractal.api.jobs({ limit: 1 })).items;
      if (job) {
        fractal.open({ view: 'job', id: job.id, title: jobTitle(job) });
      } else {
        Notification.info('There is no job yet.');
      }
    }
  });
  commands.addCommand(CommandIDs.refresh, {
    label: 'Read Fractal Jobs and Tasks Again',
    describedBy: noArguments,
    execute: fractal.changes.everything
  });
  const { open: _, ...shown } = CommandIDs;
  for (const command of Object.values(shown)) {
    palette?.addItem({ command, category: 'Fractal' });
  }
  launcher?.add({ command: CommandIDs.panel, category: 'Fractal', rank: 1 });
  launcher?.add({ command: CommandIDs.collect, category: 'Fractal', rank: 2 });
}

function notifyOfEnds(
  running: RunningJobs,
  fractal: IFractal,
  registry: ISettingRegistry | null
): void {
  let wanted = true;
  registry?.load(ID).then(
    settings => {
      const read = () => (wanted = settings.get('notify').composite as boolean);
      settings.changed.connect(read);
      read();
    },
    reason => console.warn(`Fractal has no settings: ${messageOf(reason)}`)
  );
  running.ended.connect((_, job) => {
    if (!wanted) {
      return;
    }
    const text = `${printable(job.name)}: ${job.status}, ${progressWords(job.steps)}`;
    const type = job.status === 'done' ? 'success' : job.status === 'failed' ? 'error' : 'info';
    Notification.emit(text, type, {
      autoClose: 8000,
      actions: [
        {
          label: 'Open',
          caption: `Open job ${job.id}`,
          callback: () => fractal.open({ view: 'job', id: job.id, title: jobTitle(job) })
        }
      ]
    });
  });
}

function argumentsOf(view: View): ReadonlyJSONObject {
  return { ...view };
}

export default plugin;
