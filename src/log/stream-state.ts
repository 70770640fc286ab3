/**
 * What later records of a stream need from earlier ones: schema and dictionary messages by (payload type, schema id), verbatim. Known
 * from the updates that come with each record; nothing is decoded here.
 */
import type { StateUpdate } from './types.ts';

/** A STATE record in parts, in order. */
export interface StateRecord {
  readonly parts: readonly Uint8Array[];
  readonly bytes: number;
  readonly hasDictionary: boolean;
}

export interface StreamState {
  /** Bytes of the messages kept. */
  readonly bytes: number;
  /** Takes an update; its bytes are kept as they are. */
  apply(update: StateUpdate): void;
  /** All state as a BatchArrowRecords without record batches, or null when there is none. */
  record(): StateRecord | null;
}

interface PairState {
  readonly payloadType: number;
  readonly schemaId: string;
  schema: Uint8Array | null;
  /** Per dictionary: the last whole one, then its deltas. */
  readonly dictionaries: Map<bigint, Uint8Array[]>;
}

/** Protobuf tags: BatchArrowRecords.arrow_payloads, ArrowPayload.schema_id, .type, .record. */
const TAG_PAYLOAD = 0x12;
const TAG_SCHEMA_ID = 0x0a;
const TAG_TYPE = 0x10;
const TAG_RECORD = 0x1a;

/** The empty state of a new stream. */
export function createStreamState(): StreamState {
  const pairs = new Map<string, PairState>();
  let stateBytes = 0;
  return {
    get bytes() {
      return stateBytes;
    },
    apply(update) {
      const pair = pairOf(pairs, update);
      if (update.kind === 'schema') {
        stateBytes -= pairBytes(pair);
        pair.schema = update.bytes;
        pair.dictionaries.clear();
      } else {
        const messages = pair.dictionaries.get(update.dictionaryId);
        if (update.kind === 'delta' && messages !== undefined) {
          messages.push(update.bytes);
        } else {
          stateBytes -= messagesBytes(messages ?? []);
          pair.dictionaries.set(update.dictionaryId, [update.bytes]);
        }
      }
      stateBytes += update.bytes.length;
    },
    record() {
      if (pairs.size === 0) return null;
      const parts: Uint8Array[] = [];
      for (const pair of pairs.values()) pushPayload(parts, pair);
      const hasDictionary = [...pairs.values()].some((pair) => pair.dictionaries.size > 0);
      return { parts, bytes: messagesBytes(parts), hasDictionary };
    },
  };
}

function pairOf(pairs: Map<string, PairState>, { payloadType, schemaId }: StateUpdate): PairState {
  const key = `${payloadType}/${schemaId}`;
  let pair = pairs.get(key);
  if (pair === undefined) {
    pair = { payloadType, schemaId, schema: null, dictionaries: new Map() };
    pairs.set(key, pair);
  }
  return pair;
}

function pushPayload(parts: Uint8Array[], pair: PairState): void {
  const messages = [...(pair.schema === null ? [] : [pair.schema]), ...[...pair.dictionaries.values()].flat()];
  const schemaId = Buffer.from(pair.schemaId, 'utf8');
  const recordBytes = messagesBytes(messages);
  const head = Buffer.from([
    TAG_SCHEMA_ID,
    ...varint(schemaId.length),
    ...schemaId,
    TAG_TYPE,
    ...varint(pair.payloadType),
    TAG_RECORD,
    ...varint(recordBytes),
  ]);
  parts.push(Buffer.from([TAG_PAYLOAD, ...varint(head.length + recordBytes)]), head, ...messages);
}

function pairBytes(pair: PairState): number {
  let bytes = pair.schema?.length ?? 0;
  for (const messages of pair.dictionaries.values()) bytes += messagesBytes(messages);
  return bytes;
}

function messagesBytes(messages: readonly Uint8Array[]): number {
  return messages.reduce((bytes, message) => bytes + message.length, 0);
}

/** A number below 2^32 as protobuf writes it. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value >>> 0;
  while (rest > 127) {
    bytes.push((rest & 127) | 128);
    rest >>>= 7;
  }
  bytes.push(rest);
  return bytes;
}
