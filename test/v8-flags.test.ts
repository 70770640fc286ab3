import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { loaderFlags } from './helpers/checkout.ts';

/** Flags are of a whole process: it is one of its own. It holds as many things as told while millions pass by. */
const PROCESS = `
  const { letHeapsGrow } = await import('./src/v8-flags.ts');
  const thing = (at) => ({ at, text: 'x' + at, list: [at, at + 1, at + 2, at + 3, at + 4] });
  const held = Array.from({ length: Number(process.argv[1]) }, (_none, at) => thing(at));
  letHeapsGrow(64 * 1024 * 1024);
  // They live long enough to leave the young part of the heap.
  const passing = Array.from({ length: 40_000 });
  let highest = 0;
  for (let at = 0; at < 3_000_000; at++) {
    passing[at % passing.length] = thing(at);
    if (at % 10_000 !== 0) continue;
    highest = Math.max(highest, process.memoryUsage().heapTotal);
    await new Promise((resolve) => setImmediate(resolve));
  }
  console.log(JSON.stringify({ highest, held: held.length }));
`;

test('heap gathers garbage by bytes and not by what it holds', { timeout: 60_000 }, async () => {
  const [small, large] = await Promise.all([highestHeapBytes(1_000), highestHeapBytes(300_000)]);
  // What is held takes some 50 MB; as much garbage as that, or 64 MiB, and the time in which a collection marks come on top.
  assert.ok(large < 220_000_000, `heap of much reached ${large} bytes, one of little ${small}`);
});

/** Makes what stays, as loading modules does, before and after telemetry comes. */
const LOADING = `
  const { getHeapSpaceStatistics } = await import('node:v8');
  const { keepYoungHeapSmall, letHeapsGrow } = await import('./src/v8-flags.ts');
  const kept = [];
  const load = () => {
    for (let at = 0; at < 300_000; at++) kept.push({ at, list: [at] });
    return getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size;
  };
  keepYoungHeapSmall();
  const loaded = load();
  letHeapsGrow(64 * 1024 * 1024);
  console.log(JSON.stringify({ loaded, working: load(), kept: kept.length }));
`;

test('young heap stays small while a server is loaded, and grows with telemetry', async () => {
  const { loaded, working } = await resultOf<{ loaded: number; working: number }>(LOADING);
  assert.ok(working > 2 * loaded, `${loaded}, then ${working} bytes`);
});

async function highestHeapBytes(things: number): Promise<number> {
  return (await resultOf<{ highest: number }>(PROCESS, String(things))).highest;
}

async function resultOf<Result>(program: string, ...values: string[]): Promise<Result> {
  const cwd = new URL('..', import.meta.url);
  const flags = [...loaderFlags, '--input-type=module', '-e', program, ...values];
  const { stdout } = await promisify(execFile)(process.execPath, flags, { cwd });
  return JSON.parse(stdout) as Result;
}
