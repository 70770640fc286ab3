/**
 * Looks at the batches of one OTAP stream while they are received: what is malformed is refused before it is stored, what later
 * batches will need (schemas, dictionaries) is pointed out, and credentials are cut. Values are never read.
 */
import { BatchMalformedError, BatchTooLargeError, LIMITS, type Signal } from '../base/index.ts';
import { type BatchEnvelope, type EnvelopeHeaders, type EnvelopePayload, scanBatchEnvelope } from './batch-envelope.ts';
import { isKeptHeader, isSecretHeader } from './header-policy.ts';
import { createHpackDecoder, type HpackDecoder, type HpackHeader } from './hpack-decoder.ts';
import { type IpcMessage, schemaDictionaryIds, walkIpcMessages } from './ipc-messages.ts';
import { PAYLOAD_TYPES, payloadName, SIGNAL_PAYLOADS } from './payload-types.ts';
import type { InspectedBatch, StateMessage, StreamInspector } from './stream-types.ts';

/** An inspector for a new stream of `signal`. Its memory is bounded by LIMITS.streamSchemasMax and the limits of a schema. */
export function createStreamInspector(signal: Signal): StreamInspector {
  const payloads = new PayloadInspector(signal);
  const headers = new HeaderInspector();
  let isBroken = false;
  return {
    inspect(message) {
      if (isBroken) throw new BatchMalformedError('Cannot inspect a batch: an earlier one of its stream was malformed');
      // Whatever is thrown from here on leaves tables half changed.
      isBroken = true;
      const envelope = scanBatchEnvelope(message);
      const { stateMessages, rootRows } = payloads.inspect(message, envelope);
      const { kept, cuts } = headers.inspect(message, envelope.headers);
      isBroken = false;
      return { batchId: envelope.batchId, record: cutRanges(message, cuts), headers: kept, stateMessages, rootRows };
    },
  };
}

/** The dictionaries of one (payload type, schema id). */
interface SchemaState {
  /** Ids that the schema's fields use. */
  readonly declared: ReadonlySet<bigint>;
  /** Ids that have been sent: only these can be extended. */
  readonly sent: Set<bigint>;
}

/** Follows the IPC state of the stream's payloads. Exporters number schemas over all types, but nothing makes them: both are the key. */
class PayloadInspector {
  readonly #signal: Signal;
  readonly #rootType: number;
  readonly #schemasByType = new Map<number, Map<string, SchemaState>>();
  #schemaCount = 0;

  constructor(signal: Signal) {
    this.#signal = signal;
    const names = SIGNAL_PAYLOADS[signal];
    this.#rootType = PAYLOAD_TYPES[names[0]!];
    for (const name of names) this.#schemasByType.set(PAYLOAD_TYPES[name], new Map());
  }

  inspect(message: Uint8Array, envelope: BatchEnvelope): Pick<InspectedBatch, 'stateMessages' | 'rootRows'> {
    const stateMessages: StateMessage[] = [];
    const seenTypes = new Set<number>();
    let rootRows = -1;
    let decodedBytes = 0;
    let batchRows = 0;
    for (const payload of envelope.payloads) {
      const schemas = this.#schemasByType.get(payload.type);
      if (schemas === undefined) throw malformed(payload, `a batch of ${this.#signal} has no payload of this type`);
      if (seenTypes.has(payload.type)) throw malformed(payload, 'the batch has a payload of this type already');
      seenTypes.add(payload.type);
      const messages = walkIpcMessages(message, payload.start, payload.end);
      for (const ipc of messages) decodedBytes += ipc.decodedBytes;
      const recordBatch = messages.at(-1);
      if (recordBatch?.kind !== 'recordBatch') throw malformed(payload, 'its last message is not a record batch');
      this.#follow(message, payload, messages, schemas, stateMessages);
      if (payload.type === this.#rootType) rootRows = recordBatch.rowCount;
      batchRows += recordBatch.rowCount;
    }
    if (rootRows === -1) {
      throw new BatchMalformedError(
        `Cannot inspect a batch: it has no payload ${payloadName(this.#rootType)}, the root of ${this.#signal}`,
        { payloadType: this.#rootType },
      );
    }
    checkRows('its root table has', rootRows, LIMITS.rootRowsMax);
    checkRows('its tables have', batchRows, LIMITS.batchRowsMax);
    if (decodedBytes > LIMITS.batchDecodedBytesMax) {
      throw new BatchTooLargeError(
        `Cannot inspect a batch: its buffers have ${decodedBytes} bytes, above ${LIMITS.batchDecodedBytesMax}`,
        { bytes: decodedBytes, max: LIMITS.batchDecodedBytesMax },
      );
    }
    return { stateMessages, rootRows };
  }

  /** Schema first if at all, dictionaries next, one record batch last. */
  #follow(
    message: Uint8Array,
    payload: EnvelopePayload,
    messages: readonly IpcMessage[],
    schemas: Map<string, SchemaState>,
    stateMessages: StateMessage[],
  ): void {
    let state = schemas.get(payload.schemaId);
    for (const [index, ipc] of messages.entries()) {
      if (ipc.kind === 'schema') {
        if (index !== 0) throw malformed(payload, 'a schema does not come first');
        state = { declared: schemaDictionaryIds(ipc), sent: new Set() };
        this.#remember(schemas, payload.schemaId, state);
        stateMessages.push(stateMessage(message, payload, ipc, 'schema'));
      } else if (state === undefined) {
        throw malformed(payload, `its schema id "${payload.schemaId}" is new and it has no schema`);
      } else if (ipc.kind === 'dictionary') {
        const id = ipc.dictionaryId;
        if (!state.declared.has(id)) throw malformed(payload, `dictionary ${id} is not in its schema`);
        if (ipc.isDelta && !state.sent.has(id))
          throw malformed(payload, `dictionary ${id} is extended before it was sent`);
        state.sent.add(id);
        stateMessages.push(stateMessage(message, payload, ipc, ipc.isDelta ? 'delta' : 'dictionary'));
      } else if (index !== messages.length - 1) {
        throw malformed(payload, 'messages follow its record batch');
      }
    }
  }

  /** Old schema ids are not used again (upstream consumers drop the one before), so at the limit the oldest of the type goes. */
  #remember(schemas: Map<string, SchemaState>, schemaId: string, state: SchemaState): void {
    if (schemas.delete(schemaId)) this.#schemaCount--;
    if (this.#schemaCount >= LIMITS.streamSchemasMax) this.#forgetOldest(schemas);
    schemas.set(schemaId, state);
    this.#schemaCount++;
  }

  #forgetOldest(preferred: Map<string, SchemaState>): void {
    for (const schemas of [preferred, ...this.#schemasByType.values()]) {
      for (const oldest of schemas.keys()) {
        schemas.delete(oldest);
        this.#schemaCount--;
        return;
      }
    }
  }
}

/** Rows have to be bounded for themselves: a column of nulls has any number of them in no bytes. */
function checkRows(what: string, rows: number, max: number): void {
  if (rows <= max) return;
  throw new BatchTooLargeError(`Cannot inspect a batch: ${what} ${rows} rows, above ${max}`, { rows, max });
}

function stateMessage(
  message: Uint8Array,
  payload: EnvelopePayload,
  ipc: IpcMessage,
  kind: StateMessage['kind'],
): StateMessage {
  return {
    payloadType: payload.type,
    schemaId: payload.schemaId,
    kind,
    dictionaryId: ipc.dictionaryId,
    bytes: message.subarray(ipc.start, ipc.end),
  };
}

const NO_HEADERS: ReadonlyMap<string, string> = new Map();
const NO_CUTS: readonly EnvelopeHeaders[] = [];

/** What the headers of a batch come to. */
interface InspectedHeaders {
  readonly kept: ReadonlyMap<string, string>;
  /** Fields that must not be stored. */
  readonly cuts: readonly EnvelopeHeaders[];
}

/** Decodes the headers of the stream's batches in order: each may refer to those before it. */
class HeaderInspector {
  /** Null once a block could not be decoded: later ones cannot be read, so they cannot be known to hold no secret. */
  #decoder: HpackDecoder | null = createHpackDecoder();

  inspect(message: Uint8Array, fields: readonly EnvelopeHeaders[]): InspectedHeaders {
    if (fields.length === 0) return { kept: NO_HEADERS, cuts: NO_CUTS };
    const kept = new Map<string, string>();
    const cuts: EnvelopeHeaders[] = [];
    for (const field of fields) {
      const headers = this.#decode(message, field);
      let isCut = headers === null;
      for (const { name, value, isSensitive } of headers ?? []) {
        // Kept names are no secrets, so the common headers cost one look-up.
        if (isKeptHeader(name) && !isSensitive) kept.set(name, value);
        else if (isSensitive || isSecretHeader(name)) isCut = true;
      }
      if (isCut) cuts.push(field);
    }
    return { kept, cuts };
  }

  #decode(message: Uint8Array, field: EnvelopeHeaders): HpackHeader[] | null {
    try {
      return this.#decoder?.decode(message, field.start, field.end) ?? null;
    } catch (error) {
      if (!(error instanceof BatchMalformedError)) throw error;
      this.#decoder = null;
      return null;
    }
  }
}

/** The message without the given fields, which are in order: views, no copies. */
function cutRanges(message: Uint8Array, cuts: readonly EnvelopeHeaders[]): Uint8Array[] {
  if (cuts.length === 0) return [message];
  const parts: Uint8Array[] = [];
  let start = 0;
  for (const cut of cuts) {
    if (cut.fieldStart > start) parts.push(message.subarray(start, cut.fieldStart));
    start = cut.end;
  }
  if (start < message.length) parts.push(message.subarray(start));
  return parts;
}

function malformed(payload: EnvelopePayload, reason: string): BatchMalformedError {
  const name = payloadName(payload.type) ?? `of type ${payload.type}`;
  return new BatchMalformedError(`Cannot inspect payload ${name}: ${reason}, at byte ${payload.start}`, {
    payloadType: payload.type,
    position: payload.start,
  });
}
