/** What task packages are collected from, and what has to be said of each. */

import { IResource, Json } from './api';

export type CollectKind = 'index' | 'wheel' | 'lock' | 'source' | 'pixi' | 'custom';

/** What the form of a collection begins with. */
export interface ICollectGiven {
  kind: CollectKind;
  value: Json;
}

export interface IKind {
  kind: CollectKind;
  label: string;
  about: string;
  /** What is asked for; the names are those of the API. */
  fields: Json;
  required: string[];
  /** The fields that most leave alone. */
  rare: string[];
  /** What is sent besides the fields. */
  also: Json;
  /** Which files can be uploaded instead of naming one on the server, if any. */
  accept?: string;
}

/** The kinds that a resource can collect. */
export function kindsOf(resource: IResource): IKind[] {
  const python = versionField(resource, 'tasks_python_config', 'Python version');
  const pixi = versionField(resource, 'tasks_pixi_config', 'Version of pixi');
  const built = { python, ...DETAILS };
  const details = Object.keys(DETAILS);
  const kinds: (IKind | false)[] = [
    {
      kind: 'index',
      label: 'Package index',
      about: 'The package is installed from the package index of the server, PyPI as a rule.',
      fields: {
        requirement: text('Package', 'A name, name==version, or name[extra]==version.', [
          'fractal-tasks-core==2.1.0'
        ]),
        ...built
      },
      required: ['requirement'],
      rare: details,
      also: {}
    },
    {
      kind: 'wheel',
      label: 'Wheel file',
      about: 'What the package needs beside itself comes from the package index.',
      fields: { requirement: text('Wheel', 'The path of the file on the server.'), ...built },
      required: ['requirement'],
      rare: details,
      also: {},
      accept: '.whl'
    },
    {
      kind: 'lock',
      label: 'Lock file',
      about:
        'Builds exactly what was exported on another machine. A package that came from a wheel ' +
        'needs that wheel beside its lock file: upload both.',
      fields: { requirement: text('Lock file', 'The path of the file on the server.') },
      required: ['requirement'],
      rare: [],
      also: {},
      accept: '.lock,.whl'
    },
    {
      kind: 'source',
      label: 'Source folder (editable)',
      about:
        'For developers: jobs run the source as it is when they are submitted, without ' +
        'collecting in between.',
      fields: {
        requirement: text('Source folder', 'On the server, the folder with pyproject.toml.'),
        ...built
      },
      required: ['requirement'],
      rare: details,
      also: { editable: true }
    },
    pixi !== null && {
      kind: 'pixi',
      label: 'pixi project',
      about: 'A project with a pixi.toml, packed as name-version.tar.gz.',
      fields: {
        requirement: text('Project archive', 'The path of the file on the server.'),
        pixi_version: pixi
      },
      required: ['requirement'],
      rare: [],
      also: { pixi: true },
      accept: '.gz'
    },
    {
      kind: 'custom',
      label: 'Existing environment',
      about:
        'An environment that somebody else looks after. It is never changed or removed; what it ' +
        'consists of is looked up at each submission.',
      fields: {
        package: text('Package', 'The name of the package.'),
        python: text('Interpreter', 'Absolute path of the Python of the environment.', [
          '/opt/env/bin/python'
        ])
      },
      required: ['package', 'python'],
      rare: [],
      also: {}
    }
  ];
  return kinds.filter((kind): kind is IKind => kind !== false);
}

function text(title: string, description: string, examples: string[] = []): Json {
  return { type: 'string', title, description, examples };
}

const DETAILS: Json = {
  extras: {
    type: 'array',
    items: { type: 'string' },
    title: 'Extras',
    description: 'Extras of the package.'
  },
  pins: versions('Pins', 'Versions of other packages, installed after it.'),
  pins_before: versions('Pins before', 'Versions of other packages, installed before it.'),
  uv: {
    type: 'boolean',
    title: 'Build with uv',
    description: 'With pip otherwise, which is slower.',
    default: true
  }
};

function versions(title: string, description: string): Json {
  return { type: 'object', additionalProperties: { type: 'string' }, title, description };
}

/** A choice among the versions that a resource has of something; null if it has none. */
function versionField(resource: IResource, config: string, title: string): Json | null {
  const said = (resource.document[config] ?? {}) as { versions?: Json; default_version?: string };
  const known = Object.keys(said.versions ?? {});
  return known.length
    ? { type: 'string', title, enum: known, default: said.default_version ?? null }
    : null;
}
