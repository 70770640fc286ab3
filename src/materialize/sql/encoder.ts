/** Turns result columns into the bytes of an answer, batch by batch. */
import type { DuckDBType } from '@duckdb/node-api';
import { COLUMNS_FORMAT, type SqlRequest } from '../types.ts';
import { createArrowEncoder } from './arrow-encoder.ts';
import { createColumnsEncoder } from './columns-encoder.ts';
import type { ResultColumn } from './columns.ts';
import { createCsvEncoder, createJsonEncoder, createNdjsonEncoder } from './text-encoders.ts';

/** A column of an answer: its name, its DuckDB type and the rows of the current batch. */
export interface AnswerColumn {
  readonly name: string;
  readonly type: DuckDBType;
  readonly data: ResultColumn;
}

/** What is known at the end of an answer. */
export interface SqlSummary {
  readonly rowCount: number;
  /** Whether the row limit cut the answer. */
  readonly truncated: boolean;
}

/** Parts of an answer. Each is its own memory (never a slice of a pool), so that it may be transferred between threads. */
export interface AnswerEncoder {
  /** A batch is encoded when it has this many rows or bytes, whichever comes first. */
  readonly batchRowsMax: number;
  readonly batchBytesMax: number;
  head(): Uint8Array;
  /** The first `rowCount` rows of the columns: the current batch. */
  batch(rowCount: number): Uint8Array;
  /** Throws TREASURY_QUERY_LIMIT when the answer was cut and the format cannot say so. */
  tail(summary: SqlSummary): Uint8Array;
}

/** The encoder of a request's format. It reads the same `columns` for every batch. */
export function createEncoder(
  { format, batchBytesMax }: Pick<SqlRequest, 'format' | 'batchBytesMax'>,
  columns: readonly AnswerColumn[],
): AnswerEncoder {
  switch (format) {
    case 'arrow':
      return createArrowEncoder(columns, batchBytesMax);
    case 'csv':
      return createCsvEncoder(columns);
    case 'ndjson':
      return createNdjsonEncoder(columns);
    case 'json':
      return createJsonEncoder(columns);
    case COLUMNS_FORMAT:
      return createColumnsEncoder(columns);
  }
}
