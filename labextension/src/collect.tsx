/** Collecting a task package: what to install, and the log of the installation. */

import React, { FormEvent, useState } from 'react';

import { ActivityPart } from './activity';
import { IActivity, Json } from './api';
import { IRefusal, refusalOf } from './draft';
import { Form } from './form';
import { useFractal } from './fractal';
import { CollectKind, ICollectGiven, IKind, kindsOf } from './kinds';
import { useFetched } from './live';
import { ProfileChooser } from './panel';
import { Problem } from './parts';
import { useProfiles } from './profile';
import { useReveal } from './reveal';
import { TaskRow } from './tasklist';
import { Upload } from './upload';

/**
 * @param props.given - What the form begins with.
 * @param props.keep - Told of the activity and of what is filled in, so that both are there again
 * after a reload.
 */
export function CollectView(props: {
  activity: number | undefined;
  given: ICollectGiven | undefined;
  keep: (kept: { activity: number } | { filled: ICollectGiven }) => void;
}): JSX.Element {
  const { api, changes } = useFractal();
  const { active } = useProfiles();
  const { value: resources, error } = useFetched(changes, { kinds: ['resource'] }, api.resources, []);
  const [activity, setActivity] = useState(props.activity);
  const [begun, setBegun] = useState(false);
  const part = useReveal<HTMLDivElement>(begun ? activity : null);
  const resource = resources?.find(one => one.id === active?.resource_id);
  return (
    <div className="fj-view">
      <div className="fj-head">
        <h1>Collect a task package</h1>
        <p className="fj-soft">
          Installs the package in an environment of its own, where the profile computes, and reads
          its tasks.
        </p>
      </div>
      <ProfileChooser />
      <Problem text={error} />
      {resource && active && (
        <CollectForm
          kinds={kindsOf(resource)}
          given={props.given}
          filled={filled => props.keep({ filled })}
          collect={async (kind, body) => {
            const ask = kind === 'custom' ? api.collectCustom : api.collect;
            const started = await ask({ ...body, profile_id: active.id });
            setActivity(started.id);
            setBegun(true);
            props.keep({ activity: started.id });
            changes.everything();
          }}
        />
      )}
      {activity !== undefined && (
        <div ref={part} className="fj-form">
          <Collection key={activity} activity={activity} />
        </div>
      )}
    </div>
  );
}

function CollectForm(props: {
  kinds: IKind[];
  given: ICollectGiven | undefined;
  /** Told of each change. */
  filled: (filled: ICollectGiven) => void;
  collect: (kind: CollectKind, body: Json) => Promise<void>;
}): JSX.Element {
  const { kinds, given } = props;
  const [chosen, setChosen] = useState<CollectKind>(given?.kind ?? 'index');
  // What was filled in of one kind is there again when it is chosen again.
  const [values, setValues] = useState<Partial<Record<CollectKind, Json>>>(
    given ? { [given.kind]: given.value } : {}
  );
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState<IRefusal | null>(null);
  const kind = kinds.find(one => one.kind === chosen) ?? kinds[0];
  const value = values[kind.kind] ?? {};
  const change = (changed: Json) => {
    setValues(before => ({ ...before, [kind.kind]: changed }));
    props.filled({ kind: kind.kind, value: changed });
  };
  const complete = kind.required.every(name => String(value[name] ?? '').trim());
  const collect = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setRefused(null);
    try {
      await props.collect(kind.kind, { ...trimmed(value), ...kind.also });
    } catch (reason) {
      setRefused(refusalOf(reason));
    } finally {
      setBusy(false);
    }
  };
  const names = Object.keys(kind.fields);
  const form = (shown: string[]) => (
    <Form
      key={`${kind.kind} ${shown}`}
      schema={{ type: 'object', properties: kind.fields, required: kind.required }}
      path=""
      value={value}
      change={change}
      problems={refused?.fields ?? []}
      hidden={names.filter(name => !shown.includes(name))}
    />
  );
  return (
    <form className="fj-form" onSubmit={event => void collect(event)}>
      <label className="fj-choice">
        Kind
        <select
          value={kind.kind}
          onChange={event => {
            const now = event.target.value as CollectKind;
            setChosen(now);
            setRefused(null);
            props.filled({ kind: now, value: values[now] ?? {} });
          }}
        >
          {kinds.map(one => (
            <option key={one.kind} value={one.kind}>
              {one.label}
            </option>
          ))}
        </select>
      </label>
      <p className="fj-soft">{kind.about}</p>
      {form(kind.required)}
      {kind.accept && (
        <Upload
          key={`upload ${kind.kind}`}
          accept={kind.accept}
          done={requirement => change({ ...value, requirement })}
        />
      )}
      {form(names.filter(name => ![...kind.required, ...kind.rare].includes(name)))}
      {kind.rare.length > 0 && (
        <details className="fj-fold">
          <summary>Extras, versions of other packages, pip</summary>
          {form(kind.rare)}
        </details>
      )}
      <Problem text={refused?.message} />
      <div>
        <button
          type="submit"
          className="fj-button fj-mod-main"
          disabled={busy || !complete}
          aria-busy={busy}
        >
          Collect
        </button>
      </div>
    </form>
  );
}

/** Spaces around a name or a path come from copying it. */
function trimmed(value: Json): Json {
  const entries = Object.entries(value);
  return Object.fromEntries(
    entries.map(([name, said]) => [name, typeof said === 'string' ? said.trim() : said])
  );
}

function Collection(props: { activity: number }): JSX.Element {
  const { api, changes } = useFractal();
  const [over, setOver] = useState<IActivity | null>(null);
  const group = over?.status === 'OK' ? over.task_group_id : null;
  const { value: tasks } = useFetched(
    changes,
    { kinds: ['task_group'] },
    async () =>
      group === null ? [] : (await api.tasks()).filter(task => task.task_group_id === group),
    [group]
  );
  return (
    <>
      <ActivityPart id={props.activity} heading="h2" over={setOver} />
      {tasks && tasks.length > 0 && (
        <ul className="fj-list fj-mod-boxed" aria-label="Collected tasks">
          {tasks.map(task => (
            <TaskRow key={task.id} task={task} />
          ))}
        </ul>
      )}
    </>
  );
}
