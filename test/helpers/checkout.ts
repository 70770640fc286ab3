import { dirname } from 'node:path';
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The checkout with the sources: also for what was built of them elsewhere, where package.json is a link. */
export const root = dirname(realpathSync(fileURLToPath(new URL('../../package.json', import.meta.url))));

const isBuilt = import.meta.url.endsWith('.js');

/** Flags of Node for a child that runs a module of this tree: none for what is built (scripts/test.ts), a loader for the sources. */
export const loaderFlags: readonly string[] = isBuilt ? [] : ['--import', import.meta.resolve('tsx')];
