/** Resources and profiles: a form, the JSON of it, and what a check says. */

import { Dialog, showDialog } from '@jupyterlab/apputils';
import React, { useRef, useState } from 'react';

import { IResource, ISchemas, Json, Noun } from './api';
import { CheckResult } from './check';
import { Elsewhere, IDraft, IRefusal, refusalOf, useDraft } from './draft';
import { Form } from './form';
import { IFrame, useFractal } from './fractal';
import { JsonText } from './json';
import { useFetched } from './live';
import { ActionButton, Problem } from './parts';
import { beginning, same } from './schema';
import { printable } from './words';

/** The field of a document that says what type of resource it is for. */
const TYPE: Record<Noun, string> = { resource: 'type', profile: 'resource_type' };

/**
 * @param props.id - Of what is edited; none for a new one.
 * @param props.resource - The resource of a new profile; the first one if there is none.
 */
export function DocumentEditor(props: {
  noun: Noun;
  id: number | undefined;
  resource: number | undefined;
  frame: IFrame;
}): JSX.Element {
  const { api, changes } = useFractal();
  const { noun, frame } = props;
  const [id, setId] = useState(props.id);
  const [resource, setResource] = useState(props.resource);
  const [broken, setBroken] = useState<string | null>(null);
  const [refused, setRefused] = useState<IRefusal | null>(null);
  const [saved, setSaved] = useState(false);
  const [check, setCheck] = useState<number | null>(null);
  const [dataset, setDataset] = useState<number | undefined>();

  const { value, error } = useFetched(
    changes,
    { kinds: ['resource', 'profile'] },
    async () => {
      const [schemas, resources, profiles, about] = await Promise.all([
        api.schemas(),
        api.resources(),
        api.profiles(),
        api.about()
      ]);
      return { schemas, resources, profiles, user: about.user };
    },
    []
  );
  const places = noun === 'resource' ? value?.resources : value?.profiles;
  const place = places?.find(one => one.id === id);
  const home = noun === 'profile' ? homeOf(value?.resources, resource) : undefined;
  // What a new one began with; its type may be another one by now.
  const begun = useRef<Json | undefined>();
  begun.current ??= value && beginningOf(noun, value.schemas, home?.type ?? 'local');
  const draft = useDraft(id === undefined ? begun.current : place?.document, frame);
  const homeless = noun === 'profile' && id === undefined && !home;
  // What has just been saved may not have been read yet.
  const known = useRef(props.id !== undefined);
  known.current = known.current || place !== undefined;
  const gone = value !== undefined && id !== undefined && !place && known.current;

  if (!value || !draft) {
    return (
      <div className="fj-view">
        <Problem text={error ?? (gone ? `There is no such ${noun} any more.` : null)} />
      </div>
    );
  }
  const type = String(draft.value[TYPE[noun]]);
  const schema = value.schemas[noun][type];
  const readOnly = Boolean(place?.source);
  // A check needs to be told a folder only where jobs run as another user.
  const others = value.profiles.some(
    one =>
      (noun === 'profile' ? one.id : one.resource_id) === id && one.document.username !== value.user
  );
  const placed = type === 'slurm_sudo' && others;

  const save = async () => {
    setRefused(null);
    try {
      const document = draft.value;
      const now =
        id !== undefined
          ? await api.replace(noun, id, document)
          : noun === 'resource'
            ? await api.addResource(document)
            : await api.addProfile(document, home!.id);
      draft.take(now.document);
      setId(now.id);
      setSaved(true);
      frame.setView({ view: noun, id: now.id, title: now.name });
      changes.everything();
    } catch (reason) {
      setRefused(refusalOf(reason));
    }
  };
  const remove = async () => {
    const answer = await showDialog({
      title: `Remove this ${noun}?`,
      body: 'Jobs that were submitted keep what they were submitted with.',
      buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: 'Remove' })]
    });
    if (answer.button.accept) {
      await api.remove(noun, id!);
      changes.everything();
      frame.discard();
    }
  };
  const change = (document: Json) => {
    setSaved(false);
    // That there is no pixi is said by an object without fields.
    const pixi = document.tasks_pixi_config === null ? { tasks_pixi_config: {} } : {};
    draft.change({ ...document, ...pixi });
  };

  return (
    <div className="fj-view">
      <div className="fj-head">
        <div className="fj-line">
          <h1>{place ? printable(place.name) : `New ${noun}`}</h1>
          <span className="fj-actions">
            {/* where nothing stood before the first "Save" */}
            {id !== undefined && !readOnly && (
              <ActionButton danger label="Remove…" disabled={gone} action={remove} />
            )}
            {!readOnly && (
              <ActionButton
                main
                label="Save"
                disabled={
                  (id !== undefined && !draft.dirty) ||
                  broken !== null ||
                  gone ||
                  homeless ||
                  draft.elsewhere !== null
                }
                action={save}
              />
            )}
            <ActionButton
              label="Check"
              title={`Try the ${noun} as it is saved`}
              disabled={id === undefined || draft.dirty || gone}
              action={async () => setCheck((await api.check(noun, id!, dataset)).id)}
            />
          </span>
        </div>
        <p className="fj-soft">{aboutWords(noun, type, id === undefined ? undefined : place)}</p>
        <p role="status">{saved && !draft.dirty ? 'Saved.' : draft.dirty ? 'Not saved yet.' : ''}</p>
      </div>
      {place?.source && (
        <p className="fj-problem fj-mod-soft">
          {`An administrator has set this up, in ${printable(place.source)}; it is changed there.`}
        </p>
      )}
      <Elsewhere draft={draft} noun={noun} />
      <Problem text={gone ? `This ${noun} was removed elsewhere.` : error} />
      <Problem text={refused?.message} />
      <Problem text={homeless ? 'A profile is of a resource: add that first.' : null} />
      <div className="fj-columns">
        <fieldset className="fj-plain" disabled={readOnly} aria-label="Fields">
          {id === undefined && (
            <Kind
              noun={noun}
              schemas={value.schemas}
              resources={value.resources}
              type={type}
              home={home}
              choose={(chosen, where) => {
                setResource(where);
                change(turned(draft, noun, chosen, value.schemas));
              }}
            />
          )}
          {schema ? (
            <Form
              key={type}
              schema={schema}
              path=""
              value={draft.value}
              change={change}
              problems={refused?.fields ?? []}
              hidden={[TYPE[noun]]}
            />
          ) : (
            <Problem text={`There is no type of resource called ${printable(type)}.`} />
          )}
        </fieldset>
        <div className="fj-side">
          {placed && <PlaceToTry chosen={dataset} choose={setDataset} />}
          {check !== null && (
            <CheckResult
              activity={check}
              placed={placed}
              trust={
                noun === 'profile' && id !== undefined
                  ? async fingerprint => {
                      await api.trust(id, fingerprint);
                      setCheck((await api.check(noun, id, dataset)).id);
                    }
                  : undefined
              }
            />
          )}
          {noun === 'resource' && place && <Warm resource={place as IResource} />}
          <JsonText value={draft.value} readOnly={readOnly} change={change} broken={setBroken} />
        </div>
      </div>
    </div>
  );
}

/** Whether units may be warm: a switch beside the document, which takes effect at once. */
function Warm(props: { resource: IResource }): JSX.Element {
  const { api, changes } = useFractal();
  const [refused, setRefused] = useState<string | null>(null);
  const choose = async (warm: boolean) => {
    setRefused(null);
    try {
      await api.setWarm(props.resource, warm);
      changes.everything();
    } catch (reason) {
      setRefused(refusalOf(reason).message);
    }
  };
  return (
    <div>
      <label className="fj-choice">
        <input
          type="checkbox"
          checked={props.resource.warm}
          disabled={Boolean(props.resource.source)}
          onChange={event => void choose(event.target.checked)}
        />
        Warm units
      </label>
      <div className="fj-help">
        Units are forked from a process that has done their imports, which saves seconds for each.
        New jobs follow this at once.
      </div>
      <Problem text={refused} />
    </div>
  );
}

/** Jobs of another user need a folder to write to, even those that are only tried. */
function PlaceToTry(props: {
  chosen: number | undefined;
  choose: (dataset: number | undefined) => void;
}): JSX.Element {
  const { api, changes } = useFractal();
  const { value, error } = useFetched(changes, { kinds: ['dataset'] }, api.datasets, []);
  return (
    <div>
      <label className="fj-choice">
        Dataset to try a job in
        <select
          value={props.chosen ?? ''}
          onChange={event => props.choose(Number(event.target.value) || undefined)}
        >
          <option value="">none: check without a job</option>
          {value?.map(dataset => (
            <option key={dataset.id} value={dataset.id}>
              {printable(dataset.name)}
            </option>
          ))}
        </select>
      </label>
      <Problem text={error} />
    </div>
  );
}

function homeOf(resources: IResource[] | undefined, id: number | undefined): IResource | undefined {
  return resources?.find(one => one.id === id) ?? resources?.[0];
}

function beginningOf(noun: Noun, schemas: ISchemas, type: string): Json {
  const schema = schemas[noun][type];
  const begun = beginning(schema, schema) as Json;
  return noun === 'resource' ? { ...begun, ...schemas.begun[type] } : begun;
}

function aboutWords(noun: Noun, type: string, place: object | undefined): string {
  const words = { local: 'this machine', slurm_sudo: 'SLURM, through sudo', slurm_ssh: 'SLURM, through SSH' };
  const where = words[type as keyof typeof words] ?? printable(type);
  const resource = (place as { resource?: string } | undefined)?.resource;
  return noun === 'resource'
    ? `Resource: ${where}`
    : `Profile${resource ? ` of ${printable(resource)}` : ''}: ${where}`;
}

/** The same document for another type of resource: what was filled in and both have is kept. */
function turned(draft: IDraft<Json>, noun: Noun, type: string, schemas: ISchemas): Json {
  const fields = schemas[noun][type].properties as Json;
  const before = beginningOf(noun, schemas, String(draft.value[TYPE[noun]]));
  const kept = Object.entries(draft.value).filter(
    ([name, value]) => name in fields && !same(value, before[name])
  );
  const begun = beginningOf(noun, schemas, type);
  return { ...begun, ...Object.fromEntries(kept), [TYPE[noun]]: type };
}

/** What a new resource is, or which resource a new profile is of. */
function Kind(props: {
  noun: Noun;
  schemas: ISchemas;
  resources: IResource[];
  type: string;
  home: IResource | undefined;
  choose: (type: string, resource: number | undefined) => void;
}): JSX.Element {
  const { noun, resources, choose } = props;
  return (
    <label className="fj-choice">
      {noun === 'resource' ? 'Type' : 'Resource'}
      {noun === 'resource' ? (
        <select value={props.type} onChange={event => choose(event.target.value, undefined)}>
          {Object.keys(props.schemas.resource).map(type => (
            <option key={type}>{type}</option>
          ))}
        </select>
      ) : (
        <select
          value={props.home?.id ?? ''}
          onChange={event => {
            const chosen = resources.find(one => one.id === Number(event.target.value));
            choose(chosen?.type ?? props.type, chosen?.id);
          }}
        >
          {resources.map(resource => (
            <option key={resource.id} value={resource.id}>
              {printable(
                `${resource.name} (${resource.type}${resource.source ? ', administrator' : ''})`
              )}
            </option>
          ))}
        </select>
      )}
    </label>
  );
}
