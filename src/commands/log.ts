/** `treasury log`: looks at the log of a data directory without a server. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { signalOfCode, TreasuryError } from '../base/index.ts';
import type { Config } from '../config.ts';
import {
  acquireDataDirectoryLock,
  ENTRY_KINDS,
  listSegments,
  type LogEntry,
  readEntries,
  verifyLog,
} from '../log/index.ts';
import { dataFolders } from '../treasury.ts';
import { tableText } from './table.ts';
import { writeOut } from './write-out.ts';

/**
 * Runs `ls`, `cat` or `verify`. Exit code 1 when verify finds damage. Throws TreasuryError for a directory that is not there or is in
 * use (verify), and OffsetOutOfRangeError. Action and offset are checked by the command line.
 */
export async function log([action, offset]: readonly string[], { data, format }: Config): Promise<number> {
  const directory = dataFolders(data).log;
  if (!existsSync(directory)) throw new TreasuryError('TREASURY_CONFIG', `Cannot find a log in ${resolve(data)}`);
  const asJson = format !== 'table';
  switch (action) {
    case 'ls':
      await list(directory, asJson);
      return 0;
    case 'cat':
      await cat(directory, offset, asJson);
      return 0;
    default:
      return verify(data, directory, asJson);
  }
}

async function list(directory: string, asJson: boolean): Promise<void> {
  const segments = listSegments(directory).map((segment) => ({
    ...segment,
    receivedAtMin: timeText(segment.receivedAtMin),
    receivedAtMax: timeText(segment.receivedAtMax),
  }));
  if (asJson) return writeOut(segments.map(jsonLine).join(''));
  const rows = segments.map((each) => [
    each.fileName,
    each.entries,
    each.frames,
    each.fileBytes,
    each.sealed ? 'sealed' : 'active',
    each.receivedAtMin ?? '',
    each.receivedAtMax ?? '',
  ]);
  const headings = ['segment', 'entries', 'frames', 'bytes', 'state', 'received from', 'to'];
  return writeOut(
    tableText(
      headings,
      rows.map((row) => row.map(String)),
    ),
  );
}

async function cat(directory: string, offset: string | undefined, asJson: boolean): Promise<void> {
  const from = offset === undefined ? (listSegments(directory)[0]?.baseOffset ?? 0n) : BigInt(offset);
  for (const entry of readEntries(directory, { from })) await writeOut(asJson ? entryJson(entry) : entryLine(entry));
}

async function verify(data: string, directory: string, asJson: boolean): Promise<number> {
  // A server that is writing would look like a torn tail.
  const lock = acquireDataDirectoryLock(resolve(data));
  try {
    const findings = verifyLog(directory);
    if (asJson) await writeOut(findings.map(jsonLine).join(''));
    else if (findings.length === 0) await writeOut('The log is whole\n');
    else {
      const rows = findings.map((each) => [each.kind, each.segment ?? '', String(each.position ?? ''), each.message]);
      await writeOut(tableText(['kind', 'segment', 'position', 'what'], rows));
    }
    return findings.length === 0 ? 0 : 1;
  } finally {
    lock.release();
  }
}

function entryFacts(entry: LogEntry) {
  const kind = Object.entries(ENTRY_KINDS).find(([, code]) => code === entry.kind)?.[0] ?? String(entry.kind);
  return {
    offset: String(entry.offset),
    receivedAt: timeText(entry.receivedAtUnixNano),
    kind,
    signal: signalOfCode(entry.signal) ?? '-',
    streamId: String(entry.streamId),
    streamSeq: entry.streamSeq,
    batchId: String(entry.batchId),
    flags: entry.flags,
    recordBytes: entry.record.length,
  };
}

function entryLine(entry: LogEntry): string {
  const { offset, receivedAt, kind, signal, streamId, streamSeq, batchId, recordBytes } = entryFacts(entry);
  const text = `${offset} ${receivedAt} ${kind} ${signal}`;
  return `${text} stream=${streamId} seq=${streamSeq} batch=${batchId} bytes=${recordBytes}\n`;
}

function entryJson(entry: LogEntry): string {
  const { record, headers } = entry;
  return jsonLine({
    ...entryFacts(entry),
    headers: Object.fromEntries(headers),
    record: Buffer.from(record.buffer, record.byteOffset, record.length).toString('base64'),
  });
}

function jsonLine(value: unknown): string {
  return `${JSON.stringify(value, (_key, field: unknown) => (typeof field === 'bigint' ? String(field) : field))}\n`;
}

const NANOS_PER_MILLI = 1_000_000n;

function timeText(unixNano: bigint | null): string | null {
  return unixNano === null ? null : new Date(Number(unixNano / NANOS_PER_MILLI)).toISOString();
}
