/** Advances two cursors until it is killed; writes the place of each that flush resolved. Run by cursors.test.ts. */
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { openCursors, openLog } from '../../src/log/index.ts';
import { appendTexts } from './retention-helpers.ts';

const data = process.argv[2]!;
const log = await openLog({ directory: join(data, 'log') });
await appendTexts(log, 400);
const cursors = await openCursors({ directory: join(data, 'cursors'), log });

async function advance(name: string): Promise<void> {
  const cursor = cursors.get(name) ?? (await cursors.create(name, { offset: 0n, policy: 'drop' }));
  for (;;) {
    if (cursor.status.offset >= log.status().durableOffset) await appendTexts(log, 50);
    for (let i = 0n; i < 3n; i++) cursor.advance(cursor.status.offset + 1n);
    const { offset } = cursor.status;
    await cursor.flush();
    writeSync(1, `${name} ${offset}\n`);
  }
}

await Promise.all([advance('a'), advance('b')]);
