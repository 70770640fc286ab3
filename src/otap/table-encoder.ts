/**
 * The IPC messages of one payload type in one stream: a schema where it changes, dictionaries and what they grow by, one record
 * batch. Columns appear with their first value and stay; a dictionary's indices go from 8 to 16 bits and then it is given up. Each
 * such change begins a new schema with new dictionaries, as receivers expect of exporters.
 */
import { type IndexBits, type SchemaField, schemaMessage } from './arrow-field-types.ts';
import {
  dictionaryTemplate,
  MessageOutput,
  type MessageTemplate,
  recordBatchTemplate,
} from './arrow-message-output.ts';
import type { ByteOutput } from './byte-output.ts';
import { createDictionary, DICTIONARY_ENTRIES_MAX, indicesOf } from './dictionary-indices.ts';
import { isThere, type OutColumn } from './out-columns.ts';
import type { ValueDictionary } from './value-dictionary.ts';
import { columnShape, writeColumn, writeDictionary } from './write-columns.ts';

/** What a stream's tables share. */
export interface EncoderStream {
  readonly output: ByteOutput;
  /** Bytes of schemas and dictionaries written so far. */
  stateBytes: number;
  /** The number of the next schema: one count over all tables, since receivers know streams by it alone. */
  schemaIdNext: number;
}

/** How a column of the current schema is written. */
interface ColumnState {
  isPresent: boolean;
  indexBits: IndexBits;
  dictionary: ValueDictionary | null;
  dictionaryId: number;
  /** Entries of the dictionary that were sent; -1 before the first. */
  sentEntries: number;
}

export class TableEncoder {
  readonly #stream: EncoderStream;
  #columns: ColumnState[] = [];
  /** Null where the next batch begins a new one. */
  #schemaId: string | null = null;
  #recordBatch: MessageTemplate | null = null;

  constructor(stream: EncoderStream) {
    this.#stream = stream;
  }

  /** Makes the next batch begin a new schema: what was sent under the old one may be anything. */
  restart(): void {
    this.#schemaId = null;
  }

  /** Writes the messages of a table to the stream's output. Returns the schema id. */
  encode(columns: readonly OutColumn[], rowCount: number): string {
    const indices = this.#prepare(columns, rowCount);
    if (this.#schemaId === null) this.#beginSchema(columns);
    this.#writeDictionaries(columns);
    const { output } = this.#stream;
    const message = new MessageOutput(output, this.#recordBatch!, rowCount);
    let struct = '';
    columns.forEach((column, index) => {
      const state = this.#columns[index]!;
      if (!state.isPresent) return;
      if (column.struct !== struct && column.struct !== '') {
        message.node(rowCount, 0);
        message.noBuffer();
      }
      struct = column.struct;
      writeColumn(
        message,
        column,
        rowCount,
        state.indexBits === 0 ? null : { indices: indices[index] ?? null, bits: state.indexBits },
      );
    });
    message.finish();
    return this.#schemaId!;
  }

  /** Settles how each column is written; returns the dictionary indices of those that have them. */
  #prepare(columns: readonly OutColumn[], rowCount: number): (Uint16Array | null)[] {
    if (this.#columns.length === 0) this.#columns = columns.map(firstState);
    const isNew = (column: OutColumn, index: number) => isThere(column) && !this.#columns[index]!.isPresent;
    if (this.#schemaId === null || columns.some(isNew)) this.#forgetSchema(columns);
    for (;;) {
      const indices = columns.map((column, index) => this.#indices(column, this.#columns[index]!, rowCount));
      if (!indices.includes('again')) return indices as (Uint16Array | null)[];
      this.#forgetSchema(columns);
    }
  }

  #indices(column: OutColumn, state: ColumnState, rowCount: number): Uint16Array | 'again' | null {
    const { dictionary } = state;
    if (dictionary === null || column.source === null) return null;
    const wasEmpty = dictionary.length === 0;
    const { indices, valueCount, newCount, isFull } = indicesOf(dictionary, column.source, rowCount);
    const isDiverse = valueCount >= JUDGED_VALUES_MIN && 2 * newCount > valueCount;
    if (isFull) {
      if (state.indexBits === 8 && dictionary.length === DICTIONARY_ENTRIES_MAX[8]) state.indexBits = 16;
      else if (wasEmpty || isDiverse) state.indexBits = 0;
      return 'again';
    }
    if (state.indexBits === 16 && wasEmpty && isDiverse) {
      state.indexBits = 0;
      return 'again';
    }
    return indices;
  }

  #forgetSchema(columns: readonly OutColumn[]): void {
    this.#schemaId = null;
    let dictionaryId = 0;
    columns.forEach((column, index) => {
      const state = this.#columns[index]!;
      state.isPresent ||= isThere(column);
      state.dictionary = state.isPresent && state.indexBits !== 0 ? createDictionary(state.indexBits) : null;
      state.dictionaryId = state.dictionary === null ? 0 : dictionaryId++;
      state.sentEntries = -1;
    });
  }

  #beginSchema(columns: readonly OutColumn[]): void {
    const stream = this.#stream;
    const message = schemaMessage(schemaFields(columns, this.#columns));
    stream.output.write(message);
    stream.stateBytes += message.length;
    this.#recordBatch = recordBatchTemplate(messageShape(columns, this.#columns));
    this.#schemaId = String(stream.schemaIdNext++);
  }

  #writeDictionaries(columns: readonly OutColumn[]): void {
    const { output } = this.#stream;
    const start = output.end;
    columns.forEach((column, index) => {
      const state = this.#columns[index]!;
      const { dictionary, sentEntries } = state;
      if (dictionary === null || sentEntries === dictionary.length) return;
      writeDictionary(output, column.type, dictionary, {
        from: Math.max(sentEntries, 0),
        template: (shape) => dictionaryTemplate(state.dictionaryId, sentEntries >= 0, shape),
      });
      state.sentEntries = dictionary.length;
    });
    this.#stream.stateBytes += output.end - start;
  }
}

function firstState(column: OutColumn): ColumnState {
  return {
    isPresent: false,
    indexBits: column.hasDictionary ? 8 : 0,
    dictionary: null,
    dictionaryId: 0,
    sentEntries: -1,
  };
}

/** Values of one batch that tell whether a dictionary is of use. */
const JUDGED_VALUES_MIN = 256;

/** The fields of a schema with the columns that are present. */
function schemaFields(columns: readonly OutColumn[], states: readonly ColumnState[]): SchemaField[] {
  const fields: (SchemaField & { children: SchemaField[] })[] = [];
  columns.forEach(({ struct, name, type, isNullable }, index) => {
    const { isPresent, indexBits, dictionaryId } = states[index]!;
    if (!isPresent) return;
    const field = { name, type, isNullable, indexBits, dictionaryId, children: [] };
    const last = fields.at(-1);
    if (struct === '') fields.push(field);
    else if (last?.name === struct) last.children.push(field);
    else fields.push({ ...field, name: struct, type: 'struct', isNullable: true, indexBits: 0, children: [field] });
  });
  return fields;
}

/** How many arrays and buffers its record batches have. */
function messageShape(columns: readonly OutColumn[], states: readonly ColumnState[]) {
  const shape = { nodes: 0, buffers: 0 };
  let struct = '';
  columns.forEach((column, index) => {
    const { isPresent, indexBits } = states[index]!;
    if (!isPresent) return;
    if (column.struct !== struct && column.struct !== '') {
      shape.nodes += 1;
      shape.buffers += 1;
    }
    struct = column.struct;
    const { nodes, buffers } = indexBits === 0 ? columnShape(column.type) : { nodes: 1, buffers: 2 };
    shape.nodes += nodes;
    shape.buffers += buffers;
  });
  return shape;
}
