/** Entries of the log for people and for scripts, without their rows. */
import { signalOfCode } from '../base/index.ts';
import { ENTRY_KINDS, type LogEntry } from '../log/index.ts';
import { timeText } from './quantity-text.ts';

/** What the columns of an entry say, as JSON values. */
export function entryFacts(entry: LogEntry) {
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

/** One line. */
export function entryLine(entry: LogEntry): string {
  const { offset, receivedAt, kind, signal, streamId, streamSeq, batchId, recordBytes } = entryFacts(entry);
  const text = `${offset} ${receivedAt} ${kind} ${signal}`;
  const headers = entry.headers.size === 0 ? '' : ` headers=${JSON.stringify(Object.fromEntries(entry.headers))}`;
  return `${text} stream=${streamId} seq=${streamSeq} batch=${batchId} bytes=${recordBytes}${headers}\n`;
}
