import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../helpers/checkout.ts';

const FOLDER = join(process.env['TREASURY_SHARED'] ?? join(root, '../shared'), 'conformance/promql');

/** Prometheus' own test data that lies beside the project: paths of the files with this ending, `undefined` where there is none. */
export function sharedPromqlFiles(ending: string): string[] | undefined {
  try {
    const names = readdirSync(FOLDER).filter((name) => name.endsWith(ending));
    return names.length === 0 ? undefined : names.toSorted().map((name) => join(FOLDER, name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
