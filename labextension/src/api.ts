/** The REST API below `fractal/api`: what it answers, and the one place that asks it. */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

export type Json = Record<string, unknown>;
export type JobStatus = 'submitted' | 'running' | 'done' | 'failed' | 'cancelled';
export type UnitStatus =
  | 'pending'
  | 'running'
  | 'done'
  | 'failed'
  | 'cancelled'
  | 'interrupted';
export type ActivityStatus = 'pending' | 'ongoing' | 'OK' | 'failed' | 'cancelled';
/** What a document is of. */
export type Noun = 'resource' | 'profile';
export type UnitCounts = Record<UnitStatus, number>;

export interface IAbout {
  version: string;
  user: string;
  store: string;
  profile_id: number | null;
  /** What of an administrator's files cannot be used, and why. */
  problems: string[];
}

/** A resource or a profile; `source` is the file of the administrator that it comes from. */
export interface IPlace {
  id: number;
  name: string;
  document: Json;
  source: string | null;
}

export interface IResource extends IPlace {
  type: string;
  /** Whether units may be forked from a process that has done their imports. */
  warm: boolean;
}

export interface IProfile extends IPlace {
  resource_id: number;
  resource: string;
}

/** JSON schemas of documents by types of resources, and what a new resource begins with. */
export interface ISchemas {
  resource: Record<string, Json>;
  profile: Record<string, Json>;
  meta: Json;
  begun: Record<string, Json>;
}

/** One thing that was tried. */
export interface ICheck {
  subject: string;
  ok: boolean;
  found: string;
  cure: string;
  /** That of the key of a host that nobody has vouched for yet, or empty. */
  fingerprint: string;
  /** Whether nothing was tried, and this only says something. */
  note: boolean;
}

export interface ITaskGroup {
  id: number;
  resource_id: number;
  package: string;
  version: string | null;
  origin: 'pypi' | 'wheel' | 'editable' | 'pixi' | 'custom';
  python_version: string;
  python: string | null;
  /** The folder of one in editable mode. */
  source: string | null;
  folder: string;
  /** What is installed, as exact requirements. */
  freeze: string[];
  size_bytes: number | null;
  /** What removing its environment frees; the rest is shared with others. */
  own_bytes: number | null;
  active: boolean;
  created: number;
  last_used: number | null;
}

/** Something on the disk that nothing uses; what is `unknown` stays. */
export interface IUnused {
  kind: 'task group' | 'leftover' | 'cache' | 'unknown';
  what: string;
  resource: string;
  folder: string;
  frees: number;
  task_group_id: number | null;
}

export interface IUnusedList {
  items: IUnused[];
  /** What environments would take in addition if they shared nothing. */
  saved_bytes: number;
  /** Which folders of environments cannot be looked at, and why. */
  problems: string[];
}

export interface ITaskSummary {
  id: number;
  task_group_id: number;
  resource_id: number;
  package: string;
  version: string | null;
  name: string;
  type: string;
  category: string | null;
  modality: string | null;
  tags: string[];
  input_types: Record<string, boolean>;
  output_types: Record<string, boolean>;
}

/** The same task in a task group of its package; `active` is whether it can be run. */
export interface ITaskVersion {
  task_id: number;
  version: string | null;
  resource_id: number;
  python_version: string;
  active: boolean;
}

export interface ITask extends ITaskSummary {
  /** The newest first. */
  versions: ITaskVersion[];
  docs_info: string | null;
  docs_link: string | null;
  args_schema_non_parallel: Json | null;
  args_schema_parallel: Json | null;
}

export interface IWorkflow {
  id: number;
  name: string;
  /** As they were given: `task`, and what belongs to it. */
  steps: Json[];
}

/** What updating a step to another version of its task would mean. */
export interface IUpdate {
  position: number;
  task: string;
  task_id: number;
  package: string;
  before: string | null;
  version: string;
  /** What the task does differently. */
  changes: { what: string; before: unknown; after: unknown }[];
  /** What no longer fits; as long as there are any, nothing is changed. */
  problems: IFieldProblem[];
}

/** A step, the version that its task is to have, and what is to replace its arguments. */
export interface IStepUpdate {
  step: number;
  version: string;
  args?: Json;
  args_non_parallel?: Json;
  args_parallel?: Json;
  type_filters?: Json;
  /** The step as it is known here: if it is another one by now, nothing is changed. */
  known: Json;
}

export interface IDataset {
  id: number;
  name: string;
  zarr_dir: string;
  images: number;
}

export interface IActivity {
  id: number;
  action:
    | 'collect'
    | 'collect_custom'
    | 'deactivate'
    | 'reactivate'
    | 'delete'
    | 'clean'
    | 'check'
    | 'scan';
  subject: string;
  status: ActivityStatus;
  cancel_requested: boolean;
  error: string | null;
  task_group_id: number | null;
  result: unknown;
  created: number;
  ended: number | null;
}

export interface IStep extends UnitCounts {
  position: number;
  task: string;
  package: string;
  version: string | null;
  status: 'pending' | 'running' | 'done' | 'failed' | 'cancelled';
  error: string | null;
  mode: string | null;
  total: number;
  seconds: number | null;
  rate: { per_second: number; seconds_left: number } | null;
}

export interface IJobSummary {
  id: number;
  name: string;
  status: JobStatus;
  error: string | null;
  waiting_for: string | null;
  cancel_requested: boolean;
  dataset: string;
  resource: string;
  profile: string;
  created: number;
  started: number | null;
  ended: number | null;
  seconds: number | null;
  cleaned: number | null;
  steps: IStep[];
}

export interface IJob extends IJobSummary {
  code: string;
}

/** What a step of a job ran in. */
export interface IEnvironment {
  package: string;
  version: string | null;
  origin: string;
  /** Null where it is not known. */
  lock: {
    digest: string;
    python: string;
    platform: string;
    distributions: { name: string; version: string; url: string | null }[];
  } | null;
  /** Of a source folder: its state. */
  source: { digest?: string; commit?: string; dirty?: boolean } | null;
}

export interface IUnit {
  index: number;
  step: number;
  phase: 'non_parallel' | 'parallel';
  zarr_url: string | null;
  status: UnitStatus;
  error: string | null;
  started: number | null;
  ended: number | null;
  peak_memory: number | null;
  node: string | null;
}

/** All units of a job in columns: `status[i]` is that of unit `index[i]`, as a place in `statuses`. */
export interface ITimeline {
  index: number[];
  step: number[];
  status: number[];
  /** Seconds after `origin`. */
  started: (number | null)[];
  ended: (number | null)[];
  node: (number | null)[];
  statuses: UnitStatus[];
  nodes: string[];
  origin: number | null;
  now: number;
}

/** One phase of a step that would run; null where only the step before can tell. */
export interface IPlannedPhase {
  name: 'non_parallel' | 'parallel';
  units: number | null;
  batches: number[] | null;
  side_by_side: number | null;
  /** What would be submitted to a scheduler that takes scripts. */
  script: string | null;
}

export interface IPlan {
  name: string;
  steps: {
    position: number;
    task: string;
    type_filter: Record<string, boolean>;
    images: number | null;
    phases: IPlannedPhase[];
  }[];
}

export interface IPage<T> {
  items: T[];
  total: number | null;
  next: number | null;
}

export interface IJobsPage extends IPage<IJobSummary> {
  counts: Partial<Record<JobStatus, number>>;
}

/** Either a task with its arguments, or a workflow; and its options as they were filled in. */
export interface ISubmission extends Json {
  task_id?: number;
  workflow_id?: number;
  dataset_id: number;
  profile_id?: number;
  args_non_parallel?: Json;
  args_parallel?: Json;
}

/** A part of a log; `next` is the offset to go on from. */
export interface ILogPart {
  text: string;
  offset: number;
  next: number;
  complete: boolean;
}

export interface IFieldProblem {
  path: string;
  found: string;
  allowed: string;
  /** All that is said of it, where that is not known in two parts. */
  words?: string;
}

/** What the server says when it cannot do what it was asked. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly fields: IFieldProblem[] = []
  ) {
    super(message);
  }
}

/** Several views ask for the same at a time: they share an answer, until something changes. */
const SHARED_MS = 2000;

type Query = Record<string, string | number | boolean | string[] | null | undefined>;

export class Api {
  constructor(private readonly settings: ServerConnection.ISettings) {}

  about = () => this.get<IAbout>('server');
  schemas = () => (this.schemasOnce ??= this.get<ISchemas>('schemas').catch(this.forgetSchemas));
  resources = () => this.items<IResource>('resources');
  profiles = () => this.items<IProfile>('profiles');
  taskGroup = (id: number) => this.get<ITaskGroup>(`task_groups/${id}`);
  /** The lock file of a task group. */
  lock = async (id: number) => (await this.ask(`task_groups/${id}/lock`, {})).text();
  /** The wheel that a task group came from, in base64. */
  wheel = (id: number) => this.get<{ name: string; content: string }>(`task_groups/${id}/wheel`);
  /** What was not used for so many days, and what is left over; looking takes its time. */
  unused = (days: number) => this.get<IUnusedList>('task_groups/unused', { unused_for: days });
  taskGroups = () => this.items<ITaskGroup>('task_groups');
  /** Those that have all words of `search`, the best first; without any, all in their order. */
  tasks = (search?: string) => this.items<ITaskSummary>('tasks', { search: search || null });
  task = (id: number) => this.get<ITask>(`tasks/${id}`);
  workflows = () => this.items<IWorkflow>('workflows');
  /** The steps of a workflow that a newer version of their task is there for, with a profile. */
  updates = (workflow: number, profile?: number) =>
    this.items<IUpdate>(`workflows/${workflow}/updates`, { profile_id: profile });
  datasets = () => this.items<IDataset>('datasets');
  /** The last ones, the newest first; all, or those of a task group, or of some statuses. */
  activities = async (query: { limit: number; task_group?: number; status?: ActivityStatus[] }) =>
    (await this.get<IPage<IActivity>>('activities', query)).items;
  activity = (id: number) => this.get<IActivity>(`activities/${id}`);
  job = (id: number) => this.get<IJob>(`jobs/${id}`);
  environment = (job: number, step: number) =>
    this.get<IEnvironment>(`jobs/${job}/steps/${step}/environment`);
  jobs = (query: { limit: number; before?: number | null; status?: string }) =>
    this.get<IJobsPage>('jobs', query);
  units = (job: number, query: { limit: number; offset: number; status: string[]; step?: number }) =>
    this.get<IPage<IUnit>>(`jobs/${job}/units`, query);
  timeline = (job: number) => this.get<ITimeline>(`jobs/${job}/timeline`);
  unit = (job: number, index: number) => this.get<IUnit>(`jobs/${job}/units/${index}`);

  addResource = (document: Json) => this.post<IResource>('resources', { document });
  addProfile = (document: Json, resource: number) =>
    this.post<IProfile>('profiles', { document, resource_id: resource });
  /** Replace the document of a resource or a profile. */
  replace = (noun: Noun, id: number, document: Json) =>
    this.put<IPlace>(`${noun}s/${id}`, { document });
  setWarm = (resource: IResource, warm: boolean) =>
    this.put<IResource>(`resources/${resource.id}`, { document: resource.document, warm });
  trust = (profile: number, fingerprint: string) =>
    this.post<unknown>(`profiles/${profile}/trust`, { fingerprint });
  remove = (noun: Noun | 'workflow' | 'dataset' | 'job', id: number) => this.delete(`${noun}s/${id}`);
  check = (noun: Noun, id: number, dataset?: number) =>
    this.post<IActivity>(`${noun}s/${id}/check`, { dataset_id: dataset });

  addWorkflow = (name: string, steps: Json[]) => this.post<IWorkflow>('workflows', { name, steps });
  changeWorkflow = (id: number, steps: Json[]) => this.put<IWorkflow>(`workflows/${id}`, { steps });
  updateStep = (workflow: number, body: IStepUpdate) =>
    this.post<IWorkflow>(`workflows/${workflow}/updates`, body);
  planUpdate = (workflow: number, body: IStepUpdate) =>
    this.post<IUpdate>(`workflows/${workflow}/updates/plan`, body);

  collect = (body: Json) => this.post<IActivity>('task_groups', body);
  collectCustom = (body: Json) => this.post<IActivity>('task_groups/custom', body);
  /** Keep a file for a collection, which names it by its `requirement`. */
  upload = (body: { name: string; content: string }) =>
    this.post<{ requirement: string }>('packages', body);
  deactivate = (group: number) => this.post<IActivity>(`task_groups/${group}/deactivate`);
  reactivate = (group: number) => this.post<IActivity>(`task_groups/${group}/reactivate`);
  deleteGroup = async (group: number): Promise<IActivity> =>
    (await this.ask(`task_groups/${group}`, {}, { method: 'DELETE' })).json();
  /** Remove what was listed by `unused`, asked with the same days; nothing else. */
  clean = async (days: number, seen: IUnused[]) => {
    const items = seen.map(({ kind, resource, folder }) => ({ kind, resource, folder }));
    const body = { unused_for: days, items };
    return (await this.post<{ items: IActivity[] }>('task_groups/clean', body)).items;
  };
  cancelActivity = (id: number) => this.post<IActivity>(`activities/${id}/cancel`);
  addDataset = (body: { name: string; zarr_dir: string; project_dir?: string }) =>
    this.post<IDataset>('datasets', body);
  scan = (dataset: number, profile?: number) =>
    this.post<IActivity>(`datasets/${dataset}/scan`, { profile_id: profile });
  plan = (body: ISubmission) => this.post<IPlan>('plans', body);
  submit = (body: ISubmission) => this.post<IJob>('jobs', body);
  cancel = (job: number) => this.post<IJob>(`jobs/${job}/cancel`);
  retry = (job: number, meta?: Json) => this.post<IJob>(`jobs/${job}/retry`, { meta });

  /** Read a part of the log at `path`: from `offset` on, or its end if there is no offset. */
  async log(path: string, offset: number | null): Promise<ILogPart> {
    const response = await this.ask(`${path}/log`, offset === null ? { tail: true } : { offset });
    const header = (name: string) => response.headers.get(`Fractal-Log-${name}`);
    return {
      text: await response.text(),
      offset: Number(header('Offset')),
      next: Number(header('Next')),
      complete: header('Complete') === 'true'
    };
  }

  private async items<T>(path: string, query: Query = {}): Promise<T[]> {
    return (await this.get<{ items: T[] }>(path, query)).items;
  }

  /** Share no answers that were given before this moment. */
  forget = () => this.shared.clear();

  private get<T>(path: string, query: Query = {}): Promise<T> {
    const key = path + queryText(query);
    const known = this.shared.get(key);
    if (known) {
      return known as Promise<T>;
    }
    const answer = this.ask(path, query).then(response => response.json() as Promise<T>);
    const forget = () => this.shared.get(key) === answer && this.shared.delete(key);
    this.shared.set(key, answer);
    answer.catch(forget);
    window.setTimeout(forget, SHARED_MS);
    return answer;
  }

  private async post<T>(path: string, body?: unknown): Promise<T> {
    const init = { method: 'POST', body: body === undefined ? undefined : JSON.stringify(body) };
    return (await this.ask(path, {}, init)).json();
  }

  private async put<T>(path: string, body: unknown): Promise<T> {
    return (await this.ask(path, {}, { method: 'PUT', body: JSON.stringify(body) })).json();
  }

  private async delete(path: string): Promise<void> {
    await this.ask(path, {}, { method: 'DELETE' });
  }

  private async ask(path: string, query: Query, init: RequestInit = {}): Promise<Response> {
    if (init.method) {
      this.forget();
    }
    const url = URLExt.join(this.settings.baseUrl, 'fractal/api', path) + queryText(query);
    const response = await ServerConnection.makeRequest(url, init, this.settings);
    if (!response.ok) {
      throw await errorOf(response);
    }
    return response;
  }

  private readonly forgetSchemas = (reason: unknown): never => {
    this.schemasOnce = undefined;
    throw reason;
  };

  private readonly shared = new Map<string, Promise<unknown>>();
  /** They are the same as long as the server runs. */
  private schemasOnce: Promise<ISchemas> | undefined;
}

function queryText(query: Query): string {
  const pairs = Object.entries(query)
    .filter(([, value]) => value !== undefined && value !== null)
    .flatMap(([name, value]) => [value].flat().map(one => [name, String(one)]));
  return pairs.length ? `?${new URLSearchParams(pairs)}` : '';
}

async function errorOf(response: Response): Promise<ApiError> {
  const problem = await response.json().catch(() => ({}));
  const message = problem.message ?? `The server answered ${response.status}.`;
  return new ApiError(message, response.status, problem.fields ?? []);
}
