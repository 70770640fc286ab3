/** Appends until it is killed; writes the number of each acknowledged entry to standard output. Run by crash.test.ts. */
import { writeSync } from 'node:fs';
import { openLog } from '../../src/log/index.ts';
import { record, update } from './log-helpers.ts';

const log = await openLog({ directory: process.argv[2]!, limits: { segmentBytesMax: 40_000 } });
let next = 0;

async function send(): Promise<void> {
  const stream = log.openStream(1);
  for (let i = 0; ; i++) {
    const updates = i === 0 ? ['S0', 'D1=x'] : [`d1=${i}`];
    const body = `${process.argv[3]}/${next++}`;
    const { offset } = await stream.append({
      batchId: BigInt(i),
      record: record(updates, body),
      stateUpdates: updates.map(update),
    });
    writeSync(1, `${offset} ${body}\n`);
  }
}

await Promise.all([send(), send(), send()]);
