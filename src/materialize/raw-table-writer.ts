/**
 * The fast way of rows into a table: whole vectors by memcpy, strings as one block an append, DuckDB's Appender behind it.
 * The Appender copies what a chunk points to, so the block is freed as soon as the append is done.
 */
import type { DuckDBAppender, DuckDBConnection } from '@duckdb/node-api';
import { assert } from '../base/index.ts';
import { shapeOfType } from './column-shape.ts';
import { BLOB, DuckDBDataChunk, duckdb } from './duckdb.ts';
import { type BlockHolder, trimScratch, writeVector } from './raw-vectors.ts';
import { INLINE_BYTES_MAX } from './string-arena.ts';
import { checkVector } from './vector-checks.ts';
import type { StringArena, TableWriter, VectorData } from './vectors.ts';

/** Rows of a data chunk: DuckDB's vector size. */
const CHUNK_ROWS_MAX = 2048;
const STRING_BYTES = 16;
const POINTER_BYTES_AT = 8;

/**
 * Opens a writer on `schema.table`. Throws TREASURY_STORE for a column of a type that cannot be written, and DuckDB's error when
 * there is no such table. `append` throws AssertionError for data that does not fit and then has appended nothing.
 */
export async function openRawTableWriter(
  connection: DuckDBConnection,
  schema: string,
  table: string,
): Promise<TableWriter> {
  const appender = await connection.createAppender(table, schema);
  try {
    return new RawTableWriter(appender, `${schema}.${table}`);
  } catch (error) {
    appender.closeSync();
    throw error;
  }
}

class RawTableWriter implements TableWriter {
  readonly #appender: DuckDBAppender;
  readonly #name: string;
  readonly #shapes;
  readonly #chunk: DuckDBDataChunk;
  readonly #holder = new VectorHolder();

  constructor(appender: DuckDBAppender, name: string) {
    this.#appender = appender;
    this.#name = name;
    const types = Array.from({ length: appender.columnCount }, (_, i) => appender.columnType(i));
    this.#shapes = types.map((type) => shapeOfType(type));
    this.#chunk = DuckDBDataChunk.create(types);
  }

  append(columns: readonly VectorData[], rowCount: number): void {
    const shapes = this.#shapes;
    assert(columns.length === shapes.length, `Columns must be those of ${this.#name}: count is ${columns.length}`);
    for (let i = 0; i < shapes.length; i++) {
      checkVector(shapes[i]!, columns[i]!, 0, rowCount, `${this.#name}[${i}]`, arenaLength);
    }
    const chunk = this.#chunk;
    const holder = this.#holder;
    try {
      for (let start = 0; start < rowCount; start += CHUNK_ROWS_MAX) {
        const count = Math.min(CHUNK_ROWS_MAX, rowCount - start);
        chunk.reset();
        for (let i = 0; i < shapes.length; i++) {
          const vector = duckdb.data_chunk_get_vector(chunk.chunk, i);
          writeVector(vector, shapes[i]!, columns[i]!, start, count, null, holder);
        }
        duckdb.data_chunk_set_size(chunk.chunk, count);
        this.#appender.appendDataChunk(chunk);
      }
    } finally {
      // The chunk points into the holder: empty it first.
      chunk.reset();
      holder.reset();
      trimScratch();
    }
  }

  flush(): void {
    this.#appender.flushSync();
  }

  discard(): void {
    this.#appender.clear();
  }

  close(): void {
    // Closing would flush what is left into whatever transaction is open then.
    this.#appender.clear();
    this.#appender.closeSync();
  }
}

function arenaLength(arena: StringArena): number {
  return arena.bytes.length;
}

/** A BLOB vector whose elements are the blocks: DuckDB allocates them, and frees them when its chunk is reset. */
class VectorHolder implements BlockHolder {
  readonly #chunk = DuckDBDataChunk.create([BLOB]);
  readonly #arenas = new Map<StringArena, number>();
  readonly #texts = new Map<string, number>();
  #count = 0;

  addressOf = (arena: StringArena): number => {
    let address = this.#arenas.get(arena);
    if (address === undefined) {
      const { bytes } = arena;
      // Strings of an arena this short are all inline, and as an element it would be inline too.
      address = bytes.length <= INLINE_BYTES_MAX ? 0 : this.#put(bytes);
      this.#arenas.set(arena, address);
    }
    return address;
  };

  addressOfText = (text: string, bytes: Uint8Array): number => {
    let address = this.#texts.get(text);
    if (address === undefined) {
      address = this.#put(bytes);
      this.#texts.set(text, address);
    }
    return address;
  };

  reset(): void {
    this.#arenas.clear();
    this.#texts.clear();
    if (this.#count > 0) this.#chunk.reset();
    this.#count = 0;
  }

  #put(bytes: Uint8Array): number {
    assert(this.#count < CHUNK_ROWS_MAX, `Blocks of an append must fit one vector: count is ${this.#count}`);
    const index = this.#count++;
    const vector = duckdb.data_chunk_get_vector(this.#chunk.chunk, 0);
    duckdb.vector_assign_string_element_len(vector, index, bytes);
    const words = duckdb.vector_get_data(vector, (index + 1) * STRING_BYTES);
    const view = new DataView(words.buffer, words.byteOffset + index * STRING_BYTES, STRING_BYTES);
    assert(view.getUint32(0, true) === bytes.length, 'A block must be as long as its arena');
    return Number(view.getBigUint64(POINTER_BYTES_AT, true));
  }
}
