import { AssertionError } from '../../base/index.ts';
import type { CanonicalBatch, SpansTable } from '../../otap/index.ts';
import type { ProjectionDefinition } from '../projection.ts';
import type { VectorData } from '../vectors.ts';
import { foldAttributes, ownAttributes } from './attributes.ts';
import { defaulted, fixed, texts } from './columns.ts';
import { spanIds, traceIds, wordsAsU64, ZERO_ID_BITS, type ZeroIds, zeroIdsVector } from './identifiers.ts';
import { rootColumns } from './root-columns.ts';
import {
  agingDimensions,
  agingDimensionTables,
  createProjectionWriter,
  dimensionTables,
  type ProjectionWriter,
} from './projection-writer.ts';
import { indexRows } from './row-groups.ts';
import { eventColumns, linkColumns, putOrphanEvents, putOrphanLinks } from './span-children.ts';
import { halves } from './values.ts';

const VERSION = 1;

/** Spans with attributes, events and links folded in: tables of 0003_traces_v1.sql, views `main.spans` and `normalized.span*`. */
export const TRACES_PROJECTION: ProjectionDefinition = {
  name: 'traces',
  version: VERSION,
  signal: 'traces',
  tables: ['spans_v1', 'spans_orphan_events_v1', 'spans_orphan_links_v1', ...dimensionTables('traces', VERSION)],
  aging: {
    rows: {
      // A span that lasts over the limit stays until its end is older.
      spans_v1: 'end_time',
      spans_orphan_events_v1: 'time',
      spans_orphan_links_v1: null,
      ...agingDimensionTables('traces', VERSION),
    },
    dimensions: agingDimensions('traces', VERSION, 'spans_v1'),
  },
  async start(context) {
    const writer = await createProjectionWriter(context, {
      prefix: 'traces',
      version: VERSION,
      tables: this.tables,
      dimensions: { traces_resources: 'resource_key', traces_scopes: 'scope_key' },
    });
    return writer.projector((batch) => shapeSpans(writer, batch));
  },
};

function shapeSpans(writer: ProjectionWriter, batch: CanonicalBatch): void {
  if (batch.signal !== 'traces') {
    throw new AssertionError(`A traces projection must get traces: signal is ${batch.signal}`);
  }
  const { arena, scratch } = writer;
  const { spans } = batch;
  const { rowCount } = spans;
  const dimensions = writer.putRootDimensions(spans, batch);
  const index = indexRows(spans.id, rowCount, scratch);
  const owned = ownAttributes(batch.spanAttrs, spans.id, rowCount, scratch, index);
  const events = eventColumns(writer, batch, index, rowCount);
  const links = linkColumns(writer, batch, index, rowCount);
  const zeroIds: ZeroIds = { bits: null };
  const columns = [
    ...rootColumns(writer, spans, dimensions),
    dimensions.services,
    ...timeColumns(writer, spans),
    traceIds(spans.traceId, rowCount, zeroIds, scratch),
    spanIds(spans.spanId, rowCount, zeroIds, ZERO_ID_BITS.SPAN, scratch),
    spanIds(spans.parentSpanId, rowCount, zeroIds, ZERO_ID_BITS.PARENT_SPAN, scratch),
    zeroIdsVector(zeroIds),
    texts(spans.traceState, rowCount, arena),
    texts(spans.name, rowCount, arena),
    defaulted(spans.kind, 0),
    defaulted(spans.statusCode, 0),
    texts(spans.statusMessage, rowCount, arena),
    defaulted(spans.flags, 0),
    defaulted(spans.droppedAttributesCount, 0),
    defaulted(spans.droppedEventsCount, 0),
    defaulted(spans.droppedLinksCount, 0),
    ...foldAttributes(owned.table, owned.groups, arena, scratch),
    ...events.columns,
    ...links.columns,
  ];
  writer.put('spans', columns, rowCount);
  writer.putOrphans('SPAN_ATTRS', owned);
  putOrphanEvents(writer, events);
  putOrphanLinks(writer, links);
}

/** start_time, end_time, duration_ns. */
function timeColumns({ scratch }: ProjectionWriter, spans: SpansTable): VectorData[] {
  const start = defaulted(spans.startTimeUnixNano, 0n);
  const duration = defaulted(spans.durationTimeUnixNano, 0n);
  if (spans.durationTimeUnixNano === null) return [start, start, duration];
  if (spans.startTimeUnixNano === null) return [start, duration, duration];
  const starts = halves(spans.startTimeUnixNano.values);
  const durations = halves(spans.durationTimeUnixNano.values);
  const ends = scratch.u32(2 * spans.rowCount);
  for (let at = 0; at < ends.length; at += 2) {
    const low = starts[at]! + durations[at]!;
    ends[at] = low;
    ends[at + 1] = starts[at + 1]! + durations[at + 1]! + (low > 0xffffffff ? 1 : 0);
  }
  return [start, fixed(wordsAsU64(ends)), duration];
}
