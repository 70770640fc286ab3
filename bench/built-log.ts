/** The log as users run it: what tsx makes of the sources for tests takes half as long again in the paths measured here. */
import { join } from 'node:path';
import type * as Log from '../src/log/index.ts';
import { root } from './process.ts';

export const { openLog } = (await import(join(root, 'dist/log/index.js'))) as typeof Log;
