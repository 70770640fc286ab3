/** What an append is made of, as an entry's row takes it. */
import { ENTRY_FLAGS, type StateUpdate } from './types.ts';

const NO_BYTES = new Uint8Array();

/** A copy of an update that does not keep the whole received message in memory. */
export function ownUpdate(update: StateUpdate): StateUpdate {
  const isOwn = update.bytes.length === update.bytes.buffer.byteLength;
  return isOwn ? update : { ...update, bytes: new Uint8Array(update.bytes) };
}

/** The flags of an entry that say what state its record has. */
export function stateFlags(stateUpdates: readonly StateUpdate[]): number {
  let flags = 0;
  for (const { kind } of stateUpdates) {
    flags |= kind === 'schema' ? ENTRY_FLAGS.HAS_SCHEMA : ENTRY_FLAGS.HAS_DICTIONARY;
  }
  return flags;
}

/** Headers as a JSON object, in bytes; none without any. */
export function encodeHeaders(headers: ReadonlyMap<string, string> | undefined): Uint8Array {
  if (headers === undefined || headers.size === 0) return NO_BYTES;
  return Buffer.from(JSON.stringify(Object.fromEntries(headers)), 'utf8');
}
