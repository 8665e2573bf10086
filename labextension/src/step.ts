/** The arguments of a workflow's step, part by part, and back. */

import { Json } from './api';
import { isObject } from './schema';
import type { partsOf } from './task';

/** The arguments of each part: what is said to it, and what of `args` its schema has; and the others. */
export function argumentsOf(
  step: Json,
  parts: ReturnType<typeof partsOf>
): { given: Record<string, Json>; others: Json } {
  const both = Object.entries(isObject(step.args) ? step.args : {});
  const has = (schema: Json, name: string) => name in ((schema.properties as Json) ?? {});
  const given = parts.map(({ part, schema }): [string, Json] => {
    const own = step[`args_${part}`];
    const shared = both.filter(([name]) => has(schema, name));
    return [`args_${part}`, { ...Object.fromEntries(shared), ...(isObject(own) ? own : {}) }];
  });
  const rest = both.filter(([name]) => !parts.some(({ schema }) => has(schema, name)));
  return { given: Object.fromEntries(given), others: Object.fromEntries(rest) };
}

/** A step with these arguments; those that are empty are left out. */
export function withArguments(step: Json, others: Json, given: Record<string, Json>): Json {
  const all: Record<string, Json> = { args: others, ...given };
  const kept = Object.entries(step).filter(([name]) => !(name in all));
  const filled = Object.entries(all).filter(([, args]) => Object.keys(args).length);
  return Object.fromEntries([...kept, ...filled]);
}
