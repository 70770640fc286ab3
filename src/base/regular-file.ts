import { lstatSync, statSync } from 'node:fs';
import { TreasuryError, type ErrorCode } from './errors.ts';

/**
 * Throws an error that names the path when what is there is no file: a folder, a device, a pipe (opening one waits for its other end), a
 * link that leads nowhere. Nothing at all is fine. Throws what the system says when it does not tell.
 */
export function refuseOtherThanFile(path: string, code: ErrorCode): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isFile() === true) return;
  if (found === undefined && lstatSync(path, { throwIfNoEntry: false }) === undefined) return;
  const what = found === undefined ? 'a link that leads nowhere' : found.isDirectory() ? 'a folder' : 'no file';
  throw new TreasuryError(code, `Cannot use ${path}: it is ${what}`, { facts: { path } });
}
