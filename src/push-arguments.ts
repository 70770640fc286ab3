/** The arguments of `treasury push`. */
import { nearest } from './base/index.ts';
import { exportTarget, redactedExport } from './export-url.ts';

/** What each action takes behind its name. */
const ACTIONS: Readonly<Record<string, readonly string[]>> = {
  ls: [],
  create: ['NAME', 'URL'],
  show: ['NAME'],
  pause: ['NAME'],
  resume: ['NAME'],
  rewind: ['NAME', 'PLACE'],
  fork: ['NAME', 'NEW-NAME'],
  delete: ['NAME'],
};

/** What is wrong with the action and its arguments, or null. Never shows what may be secret in a URL. */
export function pushArgumentsFault([action = '', ...given]: readonly string[]): string | null {
  const wanted = ACTIONS[action];
  if (wanted === undefined) {
    return `Unknown action ${action} of push: did you mean ${nearest(action, Object.keys(ACTIONS))}?`;
  }
  if (given.length !== wanted.length) {
    return `Cannot read the arguments of push ${action}: usage is treasury push ${[action, ...wanted].join(' ')}`;
  }
  if (action !== 'create') return null;
  const url = given[1] as string;
  try {
    exportTarget(url);
    return null;
  } catch (error) {
    return `Cannot use URL: ${(error as Error).message}, value is ${JSON.stringify(redactedExport(url))}`;
  }
}
