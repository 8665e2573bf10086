/** Fractal in JupyterLab. */

import {
  ILabShell,
  ILabStatus,
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import {
  Dialog,
  ICommandPalette,
  InputDialog,
  MainAreaWidget,
  Notification,
  WidgetTracker,
  showDialog
} from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStateDB } from '@jupyterlab/statedb';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ToolbarButton } from '@jupyterlab/ui-components';
import { ReadonlyJSONObject } from '@lumino/coreutils';
import { Widget } from '@lumino/widgets';

import { Api, IPlace, Noun } from './api';
import { CommandIDs, IFractal, View } from './fractal';
import { fractalIcon } from './icon';
import { Changes, messageOf } from './live';
import { askEarly } from './panel';
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
  optional: [
    ICommandPalette,
    ILabShell,
    ILabStatus,
    ILauncher,
    ILayoutRestorer,
    ISettingRegistry,
    IStateDB,
    IStatusBar
  ],
  activate
};

function activate(
  app: JupyterFrontEnd,
  palette: ICommandPalette | null,
  labShell: ILabShell | null,
  labStatus: ILabStatus | null,
  launcher: ILauncher | null,
  restorer: ILayoutRestorer | null,
  settings: ISettingRegistry | null,
  state: IStateDB | null,
  statusBar: IStatusBar | null
): void {
  const { commands, serviceManager, shell } = app;
  const fractal: IFractal = {
    api: new Api(serviceManager.serverSettings),
    changes: new Changes(serviceManager.serverSettings),
    commands,
    profile: new ActiveProfile(state),
    open: view => void commands.execute(CommandIDs.open, argumentsOf(view))
  };
  // Before any view is told of a change.
  fractal.changes.told.connect(fractal.api.forget);
  const running = new RunningJobs(fractal.api, fractal.changes);
  askEarly(fractal.api);

  const panel = new PanelWidget(fractal);
  panel.id = PANEL_ID;
  panel.title.icon = fractalIcon;
  panel.title.caption = 'Fractal';
  shell.add(panel, 'left', { rank: 550 });
  restorer?.add(panel, PANEL_ID);

  // Notebook 7 has room for one document in its main area, and its views beside that.
  addViews(app, fractal, { area: labShell ? 'main' : 'right', restorer, labStatus });
  addCommands(app, fractal, palette, launcher);
  notifyOfEnds(running, fractal, settings);
  statusBar?.registerStatusItem(NAMESPACE, {
    item: new StatusWidget(fractal, running),
    align: 'left',
    rank: 500
  });
}

/** What JupyterLab and Notebook 7 have each in their own way, or not at all. */
interface IFrontEnd {
  area: 'main' | 'right';
  restorer: ILayoutRestorer | null;
  labStatus: ILabStatus | null;
}

/** Main-area views: opened once each, and again after a reload. */
function addViews(
  app: JupyterFrontEnd,
  fractal: IFractal,
  { area, restorer, labStatus }: IFrontEnd
): void {
  const tracker = new WidgetTracker<ViewArea>({ namespace: NAMESPACE });
  let made = 0;
  const make = (view: View): ViewArea => {
    const widget = new ViewArea({ content: new ViewWidget(fractal, view) }, labStatus);
    widget.id = `${NAMESPACE}-view-${made++}`;
    widget.content.viewChanged.connect(() => void tracker.save(widget));
    if (area === 'right') {
      // Nothing but tabs has a button to close it.
      const close = new ToolbarButton({ label: 'Close', onClick: () => widget.close() });
      widget.toolbar.addItem('close', close);
    }
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
          view: {
            type: 'string',
            enum: [
              'job',
              'task',
              'collect',
              'task_group',
              'activity',
              'clean',
              'workflow',
              'resource',
              'profile'
            ]
          },
          id: { type: 'integer', description: 'Of what is shown; none for what is new.' },
          unit: { type: 'integer', description: 'The unit to choose in a job.' },
          activity: { type: 'integer', description: 'The collection to show.' },
          given: { type: 'object', description: 'What the form of a collection begins with.' },
          filled: { type: 'object', description: 'What was filled in of a form since.' },
          resource: { type: 'integer', description: 'That of a new profile.' },
          title: { type: 'string' }
        }
      }
    },
    execute: args => {
      const view = args as unknown as View;
      const known = tracker.find(one => viewName(one.content.view) === viewName(view));
      const widget = known ?? make(view);
      if (!widget.isAttached) {
        app.shell.add(widget, area);
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

type Message = Parameters<Widget['processMessage']>[0];

/** A view in the main area; it asks before it loses what was not saved. */
class ViewArea extends MainAreaWidget<ViewWidget> {
  constructor(options: MainAreaWidget.IOptions<ViewWidget>, labStatus: ILabStatus | null) {
    super(options);
    const { content, title } = this;
    const name = () => {
      title.label = printable(content.view.title ?? 'Fractal');
      title.caption = title.label;
    };
    name();
    title.icon = fractalIcon;
    title.closable = true;
    content.viewChanged.connect(name);
    // While this is held, the browser asks before it leaves the page.
    let held: { dispose: () => void } | undefined;
    const mark = () => {
      held?.dispose();
      const dirty = content.dirty && !content.isDisposed;
      held = dirty ? labStatus?.setDirty() : undefined;
      title.className = dirty ? 'jp-mod-dirty' : '';
    };
    content.dirtyChanged.connect(mark);
    content.disposed.connect(() => held?.dispose());
  }

  protected onCloseRequest(message: Message): void {
    if (!this.content.dirty) {
      super.onCloseRequest(message);
      return;
    }
    void showDialog({
      title: 'Close without saving?',
      body: 'What was changed here would be lost.',
      buttons: [
        Dialog.cancelButton({ label: 'Keep it open' }),
        Dialog.warnButton({ label: 'Close without saving' })
      ]
    }).then(answer => answer.button.accept && this.dispose());
  }
}

// Commands that begin something in a view of its own: name, caption, view, and title of that.
const BEGINNINGS = [
  [
    CommandIDs.collect,
    'Collect a Fractal Task Package',
    'Install a package of Fractal tasks',
    'collect',
    'Collect tasks'
  ],
  [
    CommandIDs.addWorkflow,
    'Make a Fractal Workflow',
    'Put tasks in a row',
    'workflow',
    'New workflow'
  ],
  [
    CommandIDs.addResource,
    'Add a Fractal Resource',
    'Say where computing happens',
    'resource',
    'New resource'
  ],
  [
    CommandIDs.addProfile,
    'Add a Fractal Profile',
    'Say as whom computing happens',
    'profile',
    'New profile'
  ]
] as const;

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
  for (const [id, label, caption, view, title] of BEGINNINGS) {
    commands.addCommand(id, {
      label,
      caption,
      icon: fractalIcon,
      describedBy: noArguments,
      execute: () => fractal.open({ view, title })
    });
  }
  commands.addCommand(CommandIDs.clean, {
    label: 'Clean Up Fractal Environments…',
    caption: 'Show what nothing uses, and remove it',
    icon: fractalIcon,
    describedBy: noArguments,
    execute: () => fractal.open({ view: 'clean', title: 'Clean up' })
  });
  commands.addCommand(CommandIDs.editResource, {
    label: 'Edit a Fractal Resource…',
    describedBy: noArguments,
    execute: async () => chooseToEdit(fractal, 'resource', await fractal.api.resources())
  });
  commands.addCommand(CommandIDs.editProfile, {
    label: 'Edit a Fractal Profile…',
    describedBy: noArguments,
    execute: async () => chooseToEdit(fractal, 'profile', await fractal.api.profiles())
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
  const cards = [CommandIDs.panel, ...BEGINNINGS.map(([id]) => id)];
  cards.forEach((command, rank) => launcher?.add({ command, category: 'Fractal', rank }));
}

/** Ask which one of several is to be edited, and open it. */
async function chooseToEdit(fractal: IFractal, noun: Noun, places: IPlace[]): Promise<void> {
  const chosen = await InputDialog.getItem({
    title: `Which ${noun}?`,
    label: 'Name',
    items: places.map(place => printable(place.name)),
    okLabel: 'Open'
  });
  const place = places.find(one => printable(one.name) === chosen.value);
  if (chosen.button.accept && place) {
    fractal.open({ view: noun, id: place.id, title: place.name });
  }
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
  return { ...view } as ReadonlyJSONObject;
}

export default plugin;
