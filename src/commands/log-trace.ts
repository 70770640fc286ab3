/** `treasury log cat --offset N --row R`: from a cell of a table to the bytes that it came from. */
import { OffsetOutOfRangeError, TreasuryError } from '../base/index.ts';
import type { Config } from '../config.ts';
import { type EntryPlace, findEntryPlace, type LogEntry, readEntriesWithState, readLogExtent } from '../log/index.ts';
import type { CanonicalBatch } from '../otap/index.ts';
import { decodedRowText } from './decoded-text.ts';
import { createDirectoryDecoder } from './directory-decoder.ts';
import { entryFacts, entryLine } from './entry-text.ts';
import { jsonLine } from './json-line.ts';
import { type TracedRow, tracedRows } from './traced-row.ts';
import { writeOut } from './write-out.ts';

/** Bytes of a record that are shown; `--raw` writes all. */
const SHOWN_BYTES_MAX = 512;
const BYTES_A_LINE = 16;

/**
 * Writes the entry, where its bytes are, the row and the first of the bytes. Throws TREASURY_CONFIG when the entry has no such row, in
 * none or not in the table that was named, OffsetOutOfRangeError, TREASURY_LOG_CORRUPT for an entry that is lost or cannot be decoded.
 */
export async function logTrace(directory: string, config: Config, offset: bigint, row: number): Promise<number> {
  const { firstOffset, durable } = readLogExtent(directory);
  if (offset < firstOffset || offset >= durable.durableOffset) {
    throw new OffsetOutOfRangeError(offset, firstOffset, durable.durableOffset);
  }
  const { entry, batch } = await decodeOne(directory, offset);
  const rows = tracedRows(batch, row, config.table);
  if (rows.length === 0) {
    const where = config.table === null ? 'any table' : config.table;
    throw new TreasuryError(
      'TREASURY_CONFIG',
      `Cannot find row ${row} of ${where} in entry ${offset}, which is of ${batch.signal}`,
    );
  }
  const place = findEntryPlace(directory, entry);
  await writeOut(config.format === 'table' ? traceText(entry, place, rows) : traceJson(entry, place, rows));
  return 0;
}

async function decodeOne(directory: string, offset: bigint): Promise<{ entry: LogEntry; batch: CanonicalBatch }> {
  const decoder = await createDirectoryDecoder(directory);
  for (const entry of readEntriesWithState(directory, { from: offset })) {
    if (entry.offset > offset) break;
    const batch = decoder.decode(entry);
    if (entry.offset < offset) continue;
    if (batch === null)
      throw new TreasuryError('TREASURY_CONFIG', `Cannot find a row in entry ${offset}: it holds no rows`);
    if (typeof batch === 'string')
      throw new TreasuryError('TREASURY_LOG_CORRUPT', `Cannot decode entry ${offset}: ${batch}`);
    return { entry, batch };
  }
  throw new TreasuryError('TREASURY_LOG_CORRUPT', `Cannot read entry ${offset}: it is lost or was never written`);
}

function traceText(entry: LogEntry, place: EntryPlace | null, rows: readonly TracedRow[]): string {
  const shown = entry.record.subarray(0, SHOWN_BYTES_MAX);
  const rest = entry.record.length - shown.length;
  return [
    entryLine(entry),
    place === null ? '' : placeText(place),
    ...rows.map(({ table, row, found }) => `  row ${row} of ${table}\n${withoutTitle(decodedRowText(found))}`),
    `  record as received\n${hexLines(shown, place?.recordPosition ?? 0)}`,
    rest === 0 ? '' : `    and ${rest} bytes more: --raw instead of --row writes all\n`,
  ].join('');
}

function placeText({ file, frameRow, frameRows, ...place }: EntryPlace): string {
  const crc = place.frameCrc.toString(16).padStart(8, '0');
  return (
    `  ${file}: frame at byte ${place.framePosition}, ${place.frameBytes} bytes, CRC ${crc}, entry ${frameRow + 1} of ${frameRows}; ` +
    `record at byte ${place.recordPosition}, ${place.recordBytes} bytes\n`
  );
}

/** The row in its batch is told already, by table. */
function withoutTitle(text: string): string {
  return text.slice(text.indexOf('\n') + 1);
}

function hexLines(bytes: Uint8Array, position: number): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += BYTES_A_LINE) {
    const line = Buffer.from(bytes.subarray(at, at + BYTES_A_LINE));
    const hex = line
      .toString('hex')
      .replaceAll(/../g, '$& ')
      .padEnd(3 * BYTES_A_LINE);
    const text = line.toString('latin1').replaceAll(/[^\x20-\x7e]/g, '.');
    lines.push(`    ${String(position + at).padStart(10)}  ${hex} ${text}\n`);
  }
  return lines.join('');
}

function traceJson(entry: LogEntry, place: EntryPlace | null, rows: readonly TracedRow[]): string {
  const { record } = entry;
  return jsonLine({
    ...entryFacts(entry),
    headers: Object.fromEntries(entry.headers),
    place: place === null ? null : { ...place },
    rows: rows.map(({ table, row, found }) => ({ table, ...found, row })),
    record: Buffer.from(record.buffer, record.byteOffset, record.length).toString('base64'),
  });
}
