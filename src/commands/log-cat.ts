/** `treasury log cat`. */
import { OffsetOutOfRangeError, TreasuryError } from '../base/index.ts';
import type { Config } from '../config.ts';
import { type LogEntry, readEntries, readEntriesWithState, readLogExtent } from '../log/index.ts';
import type { EntryDecoder } from '../materialize/index.ts';
import type { CanonicalBatch } from '../otap/index.ts';
import { decodedRows, unattachedRows } from './decoded-rows.ts';
import { decodedRowText } from './decoded-text.ts';
import { createDirectoryDecoder } from './directory-decoder.ts';
import { entryFacts, entryLine } from './entry-text.ts';
import { jsonLine } from './json-line.ts';
import { logTrace } from './log-trace.ts';
import { writeOut } from './write-out.ts';

/**
 * Writes entries from an offset on: their facts, their rows, or nothing but their records. Exit code 1 when an entry was to be decoded
 * and cannot be. Throws OffsetOutOfRangeError for an offset that the log does not hold, TREASURY_LOG_CORRUPT for an entry that is lost.
 */
export async function logCat(directory: string, config: Config): Promise<number> {
  const { offset, decoded, raw } = config;
  if (config.row !== null && offset !== null) return logTrace(directory, config, offset, config.row);
  const { firstOffset, durable } = readLogExtent(directory);
  const from = offset ?? firstOffset;
  if (offset !== null && (from < firstOffset || from >= durable.durableOffset)) {
    throw new OffsetOutOfRangeError(from, firstOffset, durable.durableOffset);
  }
  const limit = config.limit ?? (raw || decoded ? 1 : Number.POSITIVE_INFINITY);
  const decoder = decoded ? await createDirectoryDecoder(directory) : null;
  const write = writerOf(config);
  const entries = decoder === null ? readEntries(directory, { from }) : readEntriesWithState(directory, { from });
  let next = from;
  let written = 0;
  let isWhole = true;
  for (const entry of entries) {
    const result = decoder?.decode(entry) ?? null;
    if (entry.offset < from) continue;
    if (entry.offset > next)
      tellMissing({ from: next, to: entry.offset, isAsked: offset === next && (raw || decoded) });
    next = entry.offset + 1n;
    isWhole &&= typeof result !== 'string';
    await write(entry, result);
    if (++written >= limit) break;
  }
  if (written < limit && next < durable.durableOffset) {
    tellMissing({ from: next, to: durable.durableOffset, isAsked: offset === next });
  }
  return isWhole ? 0 : 1;
}

/** The bytes of another entry must not be taken for those of the one that was asked for. */
function tellMissing({ from, to, isAsked }: { from: bigint; to: bigint; isAsked: boolean }): void {
  const message = `Entries ${from} to ${to} (exclusive) are lost or hold nothing`;
  if (isAsked) throw new TreasuryError('TREASURY_LOG_CORRUPT', `Cannot read entry ${from}: ${message}`);
  process.stderr.write(`treasury: ${message}\n`);
}

type Result = ReturnType<EntryDecoder['decode']>;

function writerOf({ format, decoded, raw }: Config): (entry: LogEntry, result: Result) => Promise<void> {
  if (raw) return ({ record }) => writeOut(record);
  const asJson = format !== 'table';
  if (!decoded) return (entry) => writeOut(asJson ? entryJson(entry) : entryLine(entry));
  return asJson ? writeRowsJson : writeRowsText;
}

async function writeRowsJson(entry: LogEntry, result: Result): Promise<void> {
  const facts = { ...entryFacts(entry), headers: Object.fromEntries(entry.headers) };
  await writeOut(jsonLine(typeof result === 'string' ? { ...facts, undecodable: result } : facts));
  if (result === null || typeof result === 'string') return;
  const offset = String(entry.offset);
  for (const row of decodedRows(result)) await writeOut(jsonLine({ offset, ...row }));
  const unattached = unattachedRows(result);
  if (Object.keys(unattached).length > 0) await writeOut(jsonLine({ offset, unattached }));
}

async function writeRowsText(entry: LogEntry, result: Result): Promise<void> {
  await writeOut(entryLine(entry));
  if (result === null) return;
  if (typeof result === 'string') return writeOut(`  undecodable: ${result}\n`);
  for (const row of decodedRows(result)) await writeOut(decodedRowText(row));
  await writeOut(unattachedText(result));
}

function unattachedText(batch: CanonicalBatch): string {
  return Object.entries(unattachedRows(batch))
    .map(([table, rows]) => `  ${rows} rows of ${table} belong to no row of the entry\n`)
    .join('');
}

function entryJson(entry: LogEntry): string {
  const { record, headers } = entry;
  return jsonLine({
    ...entryFacts(entry),
    headers: Object.fromEntries(headers),
    record: Buffer.from(record.buffer, record.byteOffset, record.length).toString('base64'),
  });
}
