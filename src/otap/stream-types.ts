/**
 * The two ends of an OTAP stream inside this room: the inspector looks at headers while a batch is received, the decoder turns
 * the logged record into rows later, in another thread. Both carry state from batch to batch.
 */
import type { Signal } from '../base/index.ts';
import type { CanonicalBatch } from './canonical.ts';

/** A schema or dictionary message of a batch, as later batches of the stream need it. Views into the received message. */
export interface StateMessage {
  readonly payloadType: number;
  readonly schemaId: string;
  /** `schema` starts the pair's state anew, `dictionary` replaces one dictionary, `delta` extends it. */
  readonly kind: 'schema' | 'dictionary' | 'delta';
  /** 0 for a schema. */
  readonly dictionaryId: bigint;
  /** One encapsulated IPC message, verbatim. */
  readonly bytes: Uint8Array;
}

/** What is known of a received batch without decoding it. */
export interface InspectedBatch {
  readonly batchId: bigint;
  /** The message as it is to be stored: the received bytes, less field 3 when it holds a secret (then in two or more parts). */
  readonly record: readonly Uint8Array[];
  /** Harmless decoded headers (an allow-list of names), in order of arrival. */
  readonly headers: ReadonlyMap<string, string>;
  /** In order of arrival; empty when the batch changes no state. */
  readonly stateMessages: readonly StateMessage[];
  /** Rows of the root payload's record batch. */
  readonly rootRows: number;
}

/** Checks and describes the batches of one stream in order of arrival. Main thread; knows nothing of what comes of them. */
export interface StreamInspector {
  /**
   * Checks envelope, payload types, IPC framing (bounds of every message, node and buffer) and that each payload has exactly one
   * record batch and a known schema; decodes the HPACK headers. Copies nothing.
   * Throws BatchMalformedError, after which the stream cannot go on: the inspector's state is undefined.
   */
  inspect(message: Uint8Array): InspectedBatch;
}

/** Decodes the entries of one stream in log order. Worker thread. */
export interface StreamDecoder {
  readonly signal: Signal;
  /** Bytes of dictionaries held. */
  readonly stateBytes: number;
  /** Forgets all state and takes that of a STATE entry's record (BatchArrowRecords with schema and dictionary messages only). */
  restoreState(record: Uint8Array): void;
  /** Takes the state changes of a batch without decoding its rows: replay up to a checkpoint. */
  applyState(record: Uint8Array): void;
  /**
   * Decodes one BatchArrowRecords. Throws BatchMalformedError with the payload type and the reason. State that a failed batch may
   * have left wrong is marked: later batches that depend on it fail too, until a schema message or `restoreState` renews it.
   */
  decode(record: Uint8Array): CanonicalBatch;
}

/** Makes the batches of one OTAP stream, the exporter's side: schemas and dictionaries go out once, then deltas. */
export interface StreamEncoder {
  readonly signal: Signal;
  /** Bytes of schemas and dictionaries sent so far: past the receiver's bound the stream is to be ended and another begun. */
  readonly stateBytes: number;
  /**
   * One BatchArrowRecords, without headers. Ids are renumbered to fit 16 bits; throws BatchTooLargeError (`splitBatch` first) where
   * they cannot. After a throw the stream is as before the call.
   */
  encode(batch: CanonicalBatch, batchId: bigint): Uint8Array;
}
