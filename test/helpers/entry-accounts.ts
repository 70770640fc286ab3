/** Accounts for every entry of a log: its rows are in the tables, or its offset is in quarantine. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type Signal, signalOfCode } from '../../src/base/index.ts';
import { createDirectoryDecoder } from '../../src/commands/directory-decoder.ts';
import { ENTRY_KINDS, readEntries } from '../../src/log/index.ts';
import type { CanonicalBatch } from '../../src/otap/index.ts';
import { openStoppedTables } from './stopped-tables.ts';

export interface EntriesFound {
  /** OTAP. */
  readonly batches: number;
  /** OTLP. */
  readonly requests: number;
  readonly rows: number;
  /** Of the batches. */
  readonly quarantined: number;
}

const ROOT_TABLES: Readonly<Record<Signal, string>> = { logs: 'logs', traces: 'spans', metrics: 'univariate_metrics' };

/**
 * Decodes every entry of a stopped server's log without its tables. Throws when an entry has other rows in the tables than it decodes
 * to, when one that does not decode is not in quarantine, when one is in quarantine and has rows, and when an OTLP request is there.
 */
export async function assertAccounted(
  t: { after(fn: () => void): void },
  data: string,
  hint: string,
): Promise<EntriesFound> {
  const tables = await openStoppedTables(t, data);
  const pairs = async (sql: string): Promise<Map<bigint, string>> => {
    const reader = await tables.runAndReadAll(sql);
    return new Map(reader.getRows().map(([offset, value]) => [BigInt(offset as bigint), String(value)]));
  };
  const quarantine = await pairs('SELECT entry_offset, reason FROM meta.quarantine');
  const rows = new Map<Signal, Map<bigint, string>>();
  for (const [signal, table] of Object.entries(ROOT_TABLES) as [Signal, string][]) {
    rows.set(signal, await pairs(`SELECT entry_offset, count(*) FROM normalized.${table} GROUP BY ALL`));
  }
  const directory = join(data, 'log');
  const decoder = await createDirectoryDecoder(directory);
  const found = { batches: 0, requests: 0, rows: 0, quarantined: 0 };
  for (const entry of readEntries(directory, { from: 0n })) {
    const decoded = decoder.decode(entry);
    if (entry.kind !== ENTRY_KINDS.BAR && entry.kind !== ENTRY_KINDS.OTLP) continue;
    const isBatch = entry.kind === ENTRY_KINDS.BAR;
    found[isBatch ? 'batches' : 'requests'] += 1;
    const inTables = Number(rows.get(signalOfCode(entry.signal)!)!.get(entry.offset) ?? 0);
    const reason = quarantine.get(entry.offset);
    const where = `offset ${entry.offset} (${hint})`;
    if (reason !== undefined || typeof decoded === 'string') {
      assert.ok(isBatch, `${where}: an accepted request is not in the tables: ${reason ?? String(decoded)}`);
      assert.ok(reason !== undefined, `${where}: is skipped, and not in quarantine: ${String(decoded)}`);
      assert.equal(inTables, 0, `${where}: rows of an entry in quarantine: ${reason}`);
      found.quarantined += 1;
      continue;
    }
    assert.equal(inTables, decoded === null ? 0 : rootRows(decoded), `${where}: rows`);
    found.rows += inTables;
  }
  return found;
}

function rootRows(batch: CanonicalBatch): number {
  if (batch.signal === 'logs') return batch.logs.rowCount;
  return batch.signal === 'traces' ? batch.spans.rowCount : batch.metrics.rowCount;
}
