/** Appends entries one after the other and prints the numbers of those that were acknowledged as JSON. Run by failed-syncs.test.ts. */
import { writeSync } from 'node:fs';
import { openLog } from '../../src/log/index.ts';

const ENTRIES = 12;

const log = await openLog({ directory: process.argv[2]! });
const acked: number[] = [];
for (let entry = 0; entry < ENTRIES; entry++) {
  try {
    await log.appendOtlp(1, { batchId: 0n, record: [Buffer.from(`entry ${entry}`)] });
    acked.push(entry);
  } catch {
    // Refused: which are is what the test looks at.
  }
}
await log.close();
writeSync(1, JSON.stringify(acked));
