/** `treasury log`: looks at the log of a data directory without a server. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { TreasuryError } from '../base/index.ts';
import type { Config } from '../config.ts';
import { dataFolders } from '../treasury.ts';
import { logCat } from './log-cat.ts';
import { logList } from './log-list.ts';
import { logVerify } from './log-verify.ts';

/**
 * Runs `ls`, `cat` or `verify`. Exit code 1 when verify finds something. Throws TreasuryError for a directory that is not there or is
 * in use (verify), and OffsetOutOfRangeError. Action, offset and flags are checked by the command line.
 */
export async function log([action]: readonly string[], config: Config): Promise<number> {
  const directory = dataFolders(config.data).log;
  if (!existsSync(directory)) {
    throw new TreasuryError('TREASURY_CONFIG', `Cannot find a log in ${resolve(config.data)}`);
  }
  switch (action) {
    case 'ls':
      return logList(directory, config);
    case 'cat':
      return logCat(directory, config);
    default:
      return logVerify(directory, config);
  }
}
