/** The rows of a log, decoded from its segments without a server. */
import assert from 'node:assert/strict';
import { type Signal, SIGNALS } from '../../src/base/index.ts';
import { readEntries } from '../../src/log/index.ts';
import { createEntryDecoder } from '../../src/materialize/index.ts';
import { canonicalRows } from './canonical-rows.ts';
import type { TelemetryRow } from './telemetry-rows.ts';

export type Rows = Readonly<Record<Signal, TelemetryRow[]>>;

/** The rows of all entries from an offset on. `directory` is that of the segments. */
export async function logRows(directory: string, from: bigint): Promise<Rows> {
  const rows = Object.fromEntries(SIGNALS.map((signal) => [signal, [] as TelemetryRow[]])) as Rows;
  const decoder = await createEntryDecoder({ readSegment: () => [] });
  for (const entry of readEntries(directory, { from: 0n })) {
    const batch = decoder.decode(entry);
    if (batch === null || entry.offset < from) continue;
    assert.notEqual(typeof batch, 'string', `entry ${entry.offset}`);
    if (typeof batch !== 'string') rows[batch.signal].push(...canonicalRows(batch));
  }
  return rows;
}
