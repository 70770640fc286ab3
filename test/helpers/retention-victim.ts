/**
 * A process to be killed: it commits batches, each a minute after the one before, and lets retention work in small slices between
 * them. Prints the number of entries committed.
 */
import { KILLED_LIMITS, victimEntry } from './retention-rounds.ts';
import { openRetainedTables } from './retained-tables.ts';

const { file, nextOffset } = JSON.parse(process.argv[2]!) as { file: string; nextOffset: number };
const tables = await openRetainedTables(file, {
  ageMs: 3_600_000,
  now: victimEntry(nextOffset).receivedAtUnixNano,
  nextOffset: BigInt(nextOffset),
  limits: KILLED_LIMITS,
});
for (let offset = nextOffset; ; offset++) {
  const entry = victimEntry(offset);
  tables.now = entry.receivedAtUnixNano;
  await tables.commit([entry]);
  process.stdout.write(`${offset + 1}\n`);
  for (let slice = 0; slice < 40; slice++) await tables.step();
}
