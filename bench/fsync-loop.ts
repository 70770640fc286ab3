/**
 * The disk's own speed: writes blocks of one size to a file and fdatasyncs each, and prints blocks a second and milliseconds a
 * block as JSON. The reference that group commit is measured against.
 *
 *   fsync-loop.ts '{"directory":"…","blockBytes":100000,"seconds":3}'
 */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

interface Options {
  directory: string;
  blockBytes: number;
  seconds: number;
}

const options = JSON.parse(process.argv[2]!) as Options;
const directory = mkdtempSync(join(options.directory, 'fsync-loop-'));
const file = openSync(join(directory, 'blocks'), 'w');
const block = Buffer.alloc(options.blockBytes, 0x5a);
const times: number[] = [];
const begun = performance.now();
let at = begun;
while (at - begun < options.seconds * 1000) {
  writeSync(file, block);
  fdatasyncSync(file);
  const now = performance.now();
  times.push(now - at);
  at = now;
}
closeSync(file);
rmSync(directory, { recursive: true });
const sorted = times.toSorted((a, b) => a - b);
const blocksPerSecond = times.length / ((at - begun) / 1000);
console.log(
  JSON.stringify({
    blocksPerSecond,
    mbPerSecond: (blocksPerSecond * options.blockBytes) / 1e6,
    msP50: sorted[Math.floor(sorted.length * 0.5)],
    msP99: sorted[Math.floor(sorted.length * 0.99)],
  }),
);
