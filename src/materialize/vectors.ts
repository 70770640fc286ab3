/**
 * Column data on its way into DuckDB: what projections produce and column writers consume. One `VectorData` is one column of one
 * append of any number of rows; writers cut it into chunks of 2,048. Nested types nest.
 * `validity` is one byte a row, as in canonical tables: 0 = null, anything else = present; null = no row is null. Under a null row
 * fixed values may be anything, strings must be well-formed (empty is), a list's offsets must still be in order (and may skip
 * children), struct children may be anything well-formed.
 */

/** Bytes of many strings end to end, filled while a batch is projected, then handed to the writer as one block. */
export interface StringArena {
  /** The filled part. */
  readonly bytes: Uint8Array;
}

/** Fixed width values laid out as DuckDB stores the type (TIMESTAMP_NS as i64, BOOLEAN as bytes of 0 and 1, UUID as `uuid` below). */
export interface FixedVector {
  readonly kind: 'fixed';
  readonly values:
    | Uint8Array
    | Int8Array
    | Uint16Array
    | Int16Array
    | Uint32Array
    | Int32Array
    | BigInt64Array
    | BigUint64Array
    | Float64Array;
  readonly validity: Uint8Array | null;
}

/** The same value in every row; null = all rows null (any type). */
export interface ConstantVector {
  readonly kind: 'constant';
  readonly value: number | bigint | boolean | string | null;
}

/** 16 big-endian bytes a row for a UUID column. */
export interface UuidVector {
  readonly kind: 'uuid';
  readonly values: Uint8Array;
  readonly validity: Uint8Array | null;
}

/**
 * VARCHAR or BLOB: four 32-bit words a row, close to DuckDB's string_t. Word 0 is the length in bytes. Up to 12 bytes the string is
 * in words 1 to 3, zero padded. Longer: word 1 is its first four bytes, words 2 (low) and 3 (high) its position in the arena, to
 * which the writer adds the block's address. VARCHAR bytes are valid UTF-8: whoever fills the arena answers for it.
 */
export interface StringVector {
  readonly kind: 'string';
  readonly arena: StringArena;
  readonly words: Uint32Array;
  readonly validity: Uint8Array | null;
}

/** LIST: row r is the child's rows `offsets[r]` to `offsets[r + 1]`. MAP is a list of STRUCT(key, value). */
export interface ListVector {
  readonly kind: 'list';
  readonly offsets: Uint32Array | Int32Array;
  readonly child: VectorData;
  readonly validity: Uint8Array | null;
}

export interface StructVector {
  readonly kind: 'struct';
  readonly children: readonly VectorData[];
  readonly validity: Uint8Array | null;
}

export type VectorData = FixedVector | ConstantVector | UuidVector | StringVector | ListVector | StructVector;

/** Writes rows into one table inside the transaction that is open on its connection. */
export interface TableWriter {
  /** Appends `rowCount` rows; `columns` are all columns of the table in its order. Copies what it needs before it returns. */
  append(columns: readonly VectorData[], rowCount: number): void;
  /** Makes the rows part of the transaction. Throws when DuckDB refuses them. */
  flush(): void;
  /** Drops the rows appended since the last flush. A store's `rollback()` does it for all its writers. */
  discard(): void;
  /** Drops what was not flushed and frees the writer. Once closed, further calls do nothing. */
  close(): void;
}
