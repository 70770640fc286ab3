/**
 * What a stream's batches leave behind for later ones: schemas and dictionaries by (payload type, schema id). State that a failed
 * message may have left wrong is dropped and marked, so that later batches fail instead of decoding to wrong values.
 */
import { BatchMalformedError, BatchTooLargeError, errorMessage, LIMITS } from '../base/index.ts';
import { decodeDictionary, type FragmentContext } from './arrow-fragment-decoder.ts';
import { type ArrowField, readArrowSchema } from './arrow-schema.ts';
import type { EnvelopePayload } from './batch-envelope.ts';
import type { DecodeBudget } from './decode-budget.ts';
import {
  createDictionary,
  createDictionaryMemory,
  type Dictionary,
  type DictionaryEntries,
  type DictionaryMemory,
  extendDictionary,
} from './dictionaries.ts';
import { type IpcMessage, walkIpcMessages } from './ipc-messages.ts';

/** Schema and dictionaries of one (payload type, schema id). */
interface SchemaState {
  readonly fields: readonly ArrowField[];
  readonly dictionaries: ReadonlyMap<bigint, Dictionary>;
}

/** What decoding the messages of one batch shares. */
export interface BatchWork {
  readonly budget: DecodeBudget;
  readonly repairs: { repairedStrings: number };
}

/** A payload whose state messages were taken: what is needed to decode its rows, which `rows` holds unless there are none. */
export interface PayloadRows {
  readonly state: SchemaState;
  readonly rows: IpcMessage | null;
}

interface KeptSchema extends SchemaState {
  readonly dictionaryFields: ReadonlyMap<bigint, ArrowField>;
  readonly dictionaries: Map<bigint, Dictionary>;
  /** Why the state is lost, null while it is good. */
  lostReason: string | null;
}

/** The state of one stream. Its dictionaries are bounded by LIMITS.streamDictionaryBytesMax. */
export class StreamState {
  readonly #memory: DictionaryMemory = createDictionaryMemory(LIMITS.streamDictionaryBytesMax);
  /** Least recently used first. */
  readonly #schemas = new Map<string, KeptSchema>();

  /** Bytes of dictionaries held. */
  get bytes(): number {
    return this.#memory.bytes;
  }

  /** Forgets everything. */
  clear(): void {
    for (const key of this.#schemas.keys()) this.#forget(key);
  }

  /** Marks all state as lost: a batch could not be read far enough to tell what it would have changed. */
  loseAll(reason: string): void {
    for (const schema of this.#schemas.values()) this.#lose(schema, reason);
  }

  /**
   * Takes the schema and dictionary messages of a payload. `payloadName` is its type's name. Throws BatchMalformedError naming
   * the payload type; the state of its (type, schema id) is lost then until a schema comes.
   */
  take(record: Uint8Array, payload: EnvelopePayload, payloadName: string, work: BatchWork): PayloadRows {
    const key = `${payload.type}/${payload.schemaId}`;
    try {
      return this.#takeMessages(key, walkIpcMessages(record, payload.start, payload.end), payloadName, work);
    } catch (error) {
      const schema = this.#schemas.get(key);
      if (schema !== undefined) this.#lose(schema, errorMessage(error));
      throw error instanceof BatchMalformedError ? withPayload(error, payloadName) : error;
    }
  }

  #takeMessages(key: string, messages: readonly IpcMessage[], payload: string, work: BatchWork): PayloadRows {
    let schema = this.#schemas.get(key);
    let rows: IpcMessage | null = null;
    for (const message of messages) {
      if (rows !== null) throw new BatchMalformedError('Cannot decode a payload: messages follow its record batch');
      if (message.kind === 'schema') {
        schema = this.#startSchema(key, message);
        continue;
      }
      if (schema === undefined) throw new BatchMalformedError('Cannot decode a payload: its schema was not sent');
      if (schema.lostReason !== null) {
        throw new BatchMalformedError(`Cannot decode a payload: its state was lost: ${schema.lostReason}`);
      }
      if (message.kind === 'dictionary') this.#takeDictionary(key, schema, message, { payload, ...work });
      else rows = message;
    }
    if (schema === undefined) throw new BatchMalformedError('Cannot decode a payload: it has no messages');
    // Most recently used last.
    this.#schemas.delete(key);
    this.#schemas.set(key, schema);
    return { state: schema, rows };
  }

  #startSchema(key: string, message: IpcMessage): KeptSchema {
    this.#forget(key);
    const schema: KeptSchema = {
      fields: [],
      dictionaryFields: new Map(),
      dictionaries: new Map(),
      lostReason: 'its schema could not be read',
    };
    // Kept before it is read: an unreadable schema is lost state, too.
    this.#schemas.set(key, schema);
    if (this.#schemas.size > LIMITS.streamSchemasMax) this.#forgetOldest(key);
    const fields = readArrowSchema(message.flatbuffer, message.header);
    const dictionaryFields = new Map<bigint, ArrowField>();
    collectDictionaryFields(fields, dictionaryFields);
    const readable = { fields, dictionaryFields, dictionaries: new Map<bigint, Dictionary>(), lostReason: null };
    this.#schemas.set(key, readable);
    return readable;
  }

  #takeDictionary(
    key: string,
    schema: KeptSchema,
    message: IpcMessage,
    context: Omit<FragmentContext, 'dictionaries'>,
  ) {
    const { dictionaryId: id, isDelta } = message;
    const field = schema.dictionaryFields.get(id);
    if (field === undefined)
      throw new BatchMalformedError(`Cannot decode a payload: dictionary ${id} is not in its schema`);
    const old = schema.dictionaries.get(id);
    if (isDelta && old === undefined) {
      throw new BatchMalformedError(`Cannot decode a payload: dictionary ${id} is extended before it was sent`);
    }
    const entries = decodeDictionary(field, message, { ...context, dictionaries: schema.dictionaries });
    if (isDelta && old !== undefined) {
      this.#withRoom(key, () => extendDictionary(old, entries, this.#memory));
      return;
    }
    if (old !== undefined) this.#memory.add(-old.byteLength);
    schema.dictionaries.delete(id);
    schema.dictionaries.set(id, this.#createDictionary(key, entries));
  }

  #createDictionary(key: string, entries: DictionaryEntries): Dictionary {
    return this.#withRoom(key, () => createDictionary(entries, this.#memory));
  }

  /** Runs what takes dictionary memory; while there is none, schemas that have not been used for longest are forgotten. */
  #withRoom<Result>(key: string, take: () => Result): Result {
    for (;;) {
      try {
        return take();
      } catch (error) {
        if (!(error instanceof BatchTooLargeError) || !this.#forgetOldest(key)) throw error;
      }
    }
  }

  /** Exporters do not come back to an old schema id once they have sent a new one. */
  #forgetOldest(exceptKey: string): boolean {
    for (const key of this.#schemas.keys()) {
      if (key === exceptKey) continue;
      this.#forget(key);
      return true;
    }
    return false;
  }

  #forget(key: string): void {
    const schema = this.#schemas.get(key);
    if (schema === undefined) return;
    this.#release(schema);
    this.#schemas.delete(key);
  }

  #lose(schema: KeptSchema, reason: string): void {
    this.#release(schema);
    schema.lostReason ??= reason;
  }

  #release(schema: KeptSchema): void {
    for (const dictionary of schema.dictionaries.values()) this.#memory.add(-dictionary.byteLength);
    schema.dictionaries.clear();
  }
}

/** Adds the payload type to an error that does not name it. */
function withPayload(error: BatchMalformedError, payload: string): BatchMalformedError {
  if (error.facts['payloadType'] === payload) return error;
  return new BatchMalformedError(
    `${error.message} (payload ${payload})`,
    { ...error.facts, payloadType: payload },
    error,
  );
}

function collectDictionaryFields(fields: readonly ArrowField[], found: Map<bigint, ArrowField>): void {
  for (const field of fields) {
    if (field.dictionary !== null) found.set(field.dictionary.id, field);
    collectDictionaryFields(field.children, found);
  }
}
