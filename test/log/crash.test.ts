/**
 * Goal: kill -9 of the process that appends loses no acknowledged entry.
 * Method: rounds on one directory; a child appends on three streams and says what was acknowledged, then is killed at an arbitrary moment.
 * Invariant: every acknowledged entry is in the log at its offset, once, and every BAR finds its state in its own segment.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openLog } from '../../src/log/index.ts';
import { readIndex, rebuildIndex } from '../../src/log/offline.ts';
import { loaderFlags } from '../helpers/checkout.ts';
import { decodeSegments, readAll, scratch } from './log-helpers.ts';

const ROUNDS = 4;
const CHILD = fileURLToPath(new URL('./crash-child.ts', import.meta.url));

test(`kill -9 while appending, ${ROUNDS} rounds, loses no acknowledged entry`, { timeout: 60_000 }, async (t) => {
  const directory = join(scratch(t), 'log');
  const acked = new Map<bigint, string>();
  for (let round = 0; round < ROUNDS; round++) {
    const child = spawn(process.execPath, [...loaderFlags, CHILD, directory, String(round)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    const exited = once(child, 'close');
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      // Some way into the work, at another place each round.
      if (output.length > 400 + round * 3_337) child.kill('SIGKILL');
    });
    await exited;
    for (const line of output.split('\n').slice(0, -1)) {
      const [offset, body] = line.split(' ');
      assert.ok(!acked.has(BigInt(offset!)), `offset ${offset} was given out twice`);
      acked.set(BigInt(offset!), body!);
    }
  }
  const log = await openLog({ directory });
  const decoded = new Map(decodeSegments(readAll(log, directory)).map((entry) => [entry.offset, entry]));
  assert.deepEqual(log.status().gaps, []);
  await log.close();
  assert.ok(acked.size > ROUNDS * 10);
  for (const [offset, body] of acked) {
    const entry = decoded.get(offset);
    assert.equal(entry?.body, body);
    assert.match(entry!.state, /^1:D1=x(,d1=\d+)* schema:S0$/);
  }
  for (const { state } of decoded.values()) {
    const deltas = [...state.matchAll(/d1=(\d+)/g)].map((match) => Number(match[1]));
    assert.deepEqual(
      deltas,
      deltas.map((_, i) => i + 1),
    );
  }
  assert.deepEqual(readIndex(directory), rebuildIndex(directory));
});
