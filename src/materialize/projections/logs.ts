import { AssertionError } from '../../base/index.ts';
import { type CanonicalBatch, type LogsTable, type ValueColumns, VALUE_TYPES } from '../../otap/index.ts';
import type { ProjectionDefinition } from '../projection.ts';
import type { VectorData } from '../vectors.ts';
import { foldAttributes, ownAttributes } from './attributes.ts';
import { constant, defaulted, fixed, NULLS, texts } from './columns.ts';
import { spanIds, traceIds, wordsAsU64, ZERO_ID_BITS, type ZeroIds, zeroIdsVector } from './identifiers.ts';
import {
  agingDimensions,
  agingDimensionTables,
  createProjectionWriter,
  dimensionTables,
  type ProjectionWriter,
} from './projection-writer.ts';
import { rootColumns } from './root-columns.ts';
import { createValueWriter, halves, isSerialized } from './values.ts';

const VERSION = 1;

/** Log records with their attributes folded in: tables of 0002_logs_v1.sql, views `main.logs` and `normalized.log*`. */
export const LOGS_PROJECTION: ProjectionDefinition = {
  name: 'logs',
  version: VERSION,
  signal: 'logs',
  tables: ['logs_v1', ...dimensionTables('logs', VERSION)],
  aging: {
    rows: { logs_v1: 'time', ...agingDimensionTables('logs', VERSION) },
    dimensions: agingDimensions('logs', VERSION, 'logs_v1'),
  },
  async start(context) {
    const writer = await createProjectionWriter(context, {
      prefix: 'logs',
      version: VERSION,
      tables: this.tables,
      dimensions: { logs_resources: 'resource_key', logs_scopes: 'scope_key' },
    });
    return writer.projector((batch) => shapeLogs(writer, batch));
  },
};

function shapeLogs(writer: ProjectionWriter, batch: CanonicalBatch): void {
  if (batch.signal !== 'logs') throw new AssertionError(`A logs projection must get logs: signal is ${batch.signal}`);
  const { arena, scratch } = writer;
  const { logs } = batch;
  const { rowCount } = logs;
  const dimensions = writer.putRootDimensions(logs, batch);
  const owned = ownAttributes(batch.logAttrs, logs.id, rowCount, scratch);
  const zeroIds: ZeroIds = { bits: null };
  const columns = [
    ...rootColumns(writer, logs, dimensions),
    dimensions.services,
    ...timeColumns(writer, logs),
    defaulted(logs.severityNumber, 0),
    texts(logs.severityText, rowCount, arena),
    ...bodyColumns(writer, logs.body, rowCount),
    texts(logs.eventName, rowCount, arena),
    traceIds(logs.traceId, rowCount, zeroIds, scratch),
    spanIds(logs.spanId, rowCount, zeroIds, ZERO_ID_BITS.SPAN, scratch),
    zeroIdsVector(zeroIds),
    defaulted(logs.flags, 0),
    defaulted(logs.droppedAttributesCount, 0),
    ...foldAttributes(owned.table, owned.groups, arena, scratch),
  ];
  writer.put('logs', columns, rowCount);
  writer.putOrphans('LOG_ATTRS', owned);
}

/** time (observed where there is none), observed_time, has_time. */
function timeColumns({ scratch }: ProjectionWriter, logs: LogsTable): VectorData[] {
  const { rowCount, timeUnixNano, observedTimeUnixNano } = logs;
  const observed = defaulted(observedTimeUnixNano, 0n);
  if (timeUnixNano === null) return [observed, observed, constant(false)];
  const words = halves(timeUnixNano.values);
  let missing = 0;
  for (let row = 0; row < rowCount; row++) if (words[2 * row] === 0 && words[2 * row + 1] === 0) missing++;
  if (missing === 0) return [fixed(timeUnixNano.values), observed, constant(true)];
  const observedWords = observedTimeUnixNano === null ? null : halves(observedTimeUnixNano.values);
  const times = scratch.u32(2 * rowCount);
  const hasTime = scratch.u8(rowCount);
  for (let at = 0; at < 2 * rowCount; at += 2) {
    const isSet = words[at] !== 0 || words[at + 1] !== 0;
    hasTime[at >> 1] = isSet ? 1 : 0;
    const from = isSet ? words : observedWords;
    if (from === null) continue;
    times[at] = from[at]!;
    times[at + 1] = from[at + 1]!;
  }
  return [fixed(wordsAsU64(times)), observed, fixed(hasTime)];
}

/** body, body_type, body_ser. */
function bodyColumns({ arena, scratch }: ProjectionWriter, body: ValueColumns | null, rowCount: number): VectorData[] {
  if (body === null) return [NULLS, constant(VALUE_TYPES.EMPTY), NULLS];
  const values = createValueWriter(body, arena, rowCount);
  const words = arena.takeWords(rowCount);
  const validity = scratch.u8(rowCount);
  let validCount = 0;
  let serCount = 0;
  for (let row = 0; row < rowCount; row++) {
    if (values.putText(words, row, row)) {
      validity[row] = 1;
      validCount++;
    }
    if (isSerialized(body.type[row]!)) serCount++;
  }
  const text: VectorData = { kind: 'string', arena, words, validity: validCount === rowCount ? null : validity };
  if (serCount === 0) return [text, fixed(body.type), NULLS];
  const serWords = arena.takeWords(rowCount);
  const serValidity = scratch.u8(rowCount);
  for (let row = 0; row < rowCount; row++) {
    if (isSerialized(body.type[row]!)) {
      serValidity[row] = 1;
      values.putSer(serWords, row, row);
    } else {
      arena.addEmpty(serWords, row);
    }
  }
  return [text, fixed(body.type), { kind: 'string', arena, words: serWords, validity: serValidity }];
}
