/**
 * Uses log indexes as servers and commands do, and makes garbage in between, so that the collector runs by itself: what a call of `gc()`
 * frees never showed the fault. Its directory is the argument.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { SIGNAL_CODES } from '../../src/base/index.ts';
import { openLog } from '../../src/log/index.ts';
import { verifyLog } from '../../src/log/offline.ts';

const ROUNDS = 3;
const TURNS = 100;

const directory = process.argv[2]!;
for (let round = 0; round < ROUNDS; round++) {
  const log = await openLog({ directory });
  await log.appendOtlp(SIGNAL_CODES.logs, { batchId: 0n, record: [Buffer.from('a')] });
  await log.close();
  if (verifyLog(directory).length > 0) throw new Error('The log is not whole');
  for (let turn = 0; turn < TURNS; turn++) {
    const garbage = Array.from({ length: 20_000 }, (_, i) => ({ i, bytes: turn }));
    Buffer.alloc(1_000_000 + garbage.length);
    if (turn % 10 === 0) await sleep(1);
  }
}
process.stdout.write('collected\n');
