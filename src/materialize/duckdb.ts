/**
 * DuckDB's packages, loaded by `require`: an `import` of CommonJS has Node read every file of them once more to find their export
 * names, which costs 5 MB of memory that is never given back and a tenth of a second of the start.
 */
import { createRequire } from 'node:module';
import type * as NodeApi from '@duckdb/node-api';
import type NodeBindings from '@duckdb/node-bindings';
import { withCountedCalls } from './native-calls.ts';

const require = createRequire(import.meta.url);

/** The C API. */
export const duckdb: typeof NodeBindings = withCountedCalls(require('@duckdb/node-bindings') as typeof NodeBindings);

// The other package finds it when it is loaded, below.
require.cache[require.resolve('@duckdb/node-bindings')]!.exports = duckdb;
const api = require('@duckdb/node-api') as typeof NodeApi;

export const {
  BLOB,
  blobValue,
  DuckDBDataChunk,
  DuckDBInstance,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBTypeId,
  DuckDBVector,
  listValue,
  mapValue,
  StatementType,
  structValue,
  uuidValue,
} = api;

export type DuckDBDataChunk = NodeApi.DuckDBDataChunk;
export type DuckDBInstance = NodeApi.DuckDBInstance;
export type DuckDBTypeId = NodeApi.DuckDBTypeId;
export type DuckDBVector = NodeApi.DuckDBVector;
export type StatementType = NodeApi.StatementType;
