/**
 * Entries as one Arrow IPC stream, with the schema of the segments: what `GET /treasury/v1/log` answers and `treasury pull` reads.
 */
import type { LogEntry } from './types.ts';

/** Takes the bytes of an entry stream in pieces of any size. */
export interface EntryStreamReader {
  /** The entries that are complete with these bytes; their views live until the next call. Throws TREASURY_LOG_CORRUPT with the position. */
  push(bytes: Uint8Array): LogEntry[];
  /** Whether the end-of-stream mark was seen: an answer without it was cut off. */
  readonly isEnded: boolean;
}
