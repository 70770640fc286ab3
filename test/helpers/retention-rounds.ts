/** What the process that is killed and the test that kills it agree on. */
import { namedLogs, namedSamples, namedSpans } from './retained-batches.ts';
import { MINUTE, START, type TestEntry } from './retained-tables.ts';

/** Slices of few rows, and a file that is made smaller after every run. */
export const KILLED_LIMITS = {
  retentionSliceRowsMax: 20,
  retentionScanRowsMax: 10,
  retentionKeysMax: 5,
  retentionCheckpointRows: 10,
  rewriteBytesMin: 1,
  rewriteIntervalMs: 0,
} as const;

const ROWS = 8;
const KINDS = [
  { kind: 'log', batch: namedLogs },
  { kind: 'span', batch: namedSpans },
  { kind: 'sample', batch: namedSamples },
] as const;

/** The entry at an offset, received so many times 5 minutes after the start. */
export function victimEntry(offset: number): TestEntry {
  const at = START + BigInt(offset) * 5n * MINUTE;
  const rows = Array.from({ length: ROWS }, (_, row) => ({ name: `${offset}.${row}`, time: at }));
  const { batch } = KINDS[offset % KINDS.length]!;
  return { offset: BigInt(offset), receivedAtUnixNano: at, batch: batch(`service ${offset % 4}`, rows) };
}

/** Names of its rows in the views. */
export function victimNames(offset: number): string[] {
  const { kind } = KINDS[offset % KINDS.length]!;
  return Array.from({ length: ROWS }, (_, row) => `${kind} ${offset}.${row}`);
}
