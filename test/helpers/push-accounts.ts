/** What kills of a server that pushes may repeat at its target, by what it had on the disk at each of them. */
import assert from 'node:assert/strict';
import type { Arrival } from './arrivals.ts';
import type { NumberedLog } from './numbered-telemetry.ts';

export interface PushKill {
  /** Where the next start goes on. */
  readonly cursor: bigint;
  /** How often each record was at the target then, at least those below the cursor. */
  readonly counts: readonly number[];
}

/** Asserts that each record has arrived. */
export function assertKept({ offsets }: NumberedLog, counts: readonly number[]): void {
  const lost = counts.flatMap((count, record) => (count === 0 ? [{ record, offset: offsets[record] }] : []));
  assert.deepEqual(lost.slice(0, 3), [], `${lost.length} of ${counts.length} records were lost`);
}

/** Asserts that nothing of a stream arrived before what the stream had sent before; what comes again does not count. */
export function assertInOrder({ offsets, lanes }: NumberedLog, arrivals: readonly Arrival[]): void {
  const first = new Map<number, number>();
  for (const { record, request } of arrivals) first.set(record, Math.min(request, first.get(record) ?? request));
  const records = [...first.keys()].toSorted((a, b) => Number(offsets[a]! - offsets[b]!));
  const reached = new Map<number, number>();
  for (const record of records) {
    const lane = lanes[record]!;
    const request = first.get(record)!;
    assert.ok(request >= (reached.get(lane) ?? 0), `record ${record} arrived before others of its stream`);
    reached.set(lane, request);
  }
}

/**
 * Asserts that a record came again at most once for each kill whose cursor had not passed it, and never after one whose cursor had.
 * Answers how many came again.
 */
export function assertAccounted(
  { offsets }: NumberedLog,
  kills: readonly PushKill[],
  counts: readonly number[],
): number {
  const wrong = offsets.flatMap((offset, record) => {
    const open = kills.filter(({ cursor }) => cursor <= offset).length;
    const isDone = kills.every((kill) => offset >= kill.cursor || kill.counts[record] === counts[record]);
    return counts[record]! <= 1 + open && isDone ? [] : [{ record, offset, arrivals: counts[record] }];
  });
  assert.deepEqual(wrong.slice(0, 3), [], `cursors were ${kills.map(({ cursor }) => cursor).join(', ')}`);
  return counts.reduce((sum, count) => sum + Math.max(0, count - 1), 0);
}
