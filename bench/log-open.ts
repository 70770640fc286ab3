/**
 * Opens a log that exists, in a process of its own: with its index, or without. Prints milliseconds, bytes and entries as JSON.
 *
 *   log-open.ts '{"directory":"…","hasIndex":true}'
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { openLog } from './built-log.ts';

const { directory, hasIndex } = JSON.parse(process.argv[2]!) as { directory: string; hasIndex: boolean };
if (!hasIndex)
  for (const suffix of ['', '-wal', '-shm']) rmSync(join(directory, `index.sqlite${suffix}`), { force: true });
const begunAtMs = performance.now();
const log = await openLog({ directory });
const ms = performance.now() - begunAtMs;
const { bytes, durableOffset, gaps } = log.status();
await log.close();
console.log(JSON.stringify({ ms, bytes, entries: Number(durableOffset), gaps: gaps.length }));
