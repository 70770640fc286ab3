/** A row of a table, found in the entry that it came from. */
import type { EntryTable } from '../base/index.ts';
import type { CanonicalBatch } from '../otap/index.ts';
import { type DecodedRow, decodedRows, type Tree } from './decoded-rows.ts';

/** The record, span or metric behind a row; of a metric's points, and of a point's exemplars, nothing but the one. */
export interface TracedRow {
  readonly table: EntryTable;
  readonly row: number;
  readonly found: DecodedRow;
}

/**
 * The rows of that number in the tables of a batch: one for logs and spans, one for each kind of point and for exemplars. `table` asks
 * for one of them alone. None: no table of the batch is so long, or what the row belongs to is not in the batch.
 */
export function tracedRows(batch: CanonicalBatch, row: number, table: EntryTable | null): TracedRow[] {
  const wanted = (name: EntryTable) => table === null || table === name;
  if (batch.signal !== 'metrics') {
    const name = batch.signal === 'logs' ? 'logs' : 'spans';
    if (!wanted(name)) return [];
    const found = nth(decodedRows(batch), row);
    return found === undefined ? [] : [{ table: name, row, found }];
  }
  return POINTS.filter(({ name }) => wanted(name))
    .map((kind) => ({ kind, path: kind.pathOf(batch, row) }))
    .flatMap(({ kind, path }) => {
      const found = path === null ? null : metricWith(batch, path);
      return found === null ? [] : [{ table: kind.name, row, found }];
    });
}

/** Where a row is: the metric's row, the list of points and the place in it, and for an exemplar its place in the point. */
interface Path {
  readonly metric: number;
  readonly points: string;
  readonly point: number;
  readonly exemplar: number | null;
}

type MetricsBatch = Extract<CanonicalBatch, { readonly signal: 'metrics' }>;

interface PointKind {
  readonly name: EntryTable;
  readonly pathOf: (batch: MetricsBatch, row: number) => Path | null;
}

type PointsName = 'numberDataPoints' | 'histogramDataPoints' | 'expHistogramDataPoints' | 'summaryDataPoints';

const POINTS: readonly PointKind[] = [
  { name: 'samples', pathOf: pointPath('numberDataPoints') },
  { name: 'histograms', pathOf: pointPath('histogramDataPoints') },
  { name: 'exp_histograms', pathOf: pointPath('expHistogramDataPoints') },
  { name: 'summaries', pathOf: pointPath('summaryDataPoints') },
  { name: 'exemplars', pathOf: exemplarPath },
];

/** In the order in which `exemplars` counts them. */
const EXEMPLARS = [
  ['numberDataPoints', 'numberDpExemplars'],
  ['histogramDataPoints', 'histogramDpExemplars'],
  ['expHistogramDataPoints', 'expHistogramDpExemplars'],
] as const;

function pointPath(points: PointsName): (batch: MetricsBatch, row: number) => Path | null {
  return (batch, row) => {
    const table = batch[points];
    if (table === null || row >= table.rowCount) return null;
    const parents = table.parentId;
    if (parents.validity?.[row] === 0) return null;
    const metric = rowOfId(batch.metrics, parents.values[row]!);
    return metric === null ? null : { metric, points, point: placeAmongEqual(parents.values, row), exemplar: null };
  };
}

function exemplarPath(batch: MetricsBatch, row: number): Path | null {
  let first = 0;
  for (const [points, exemplars] of EXEMPLARS) {
    const table = batch[exemplars];
    const count = table?.rowCount ?? 0;
    if (table === null || row >= first + count) {
      first += count;
      continue;
    }
    const pointTable = batch[points];
    const point = pointTable === null ? null : rowOfId(pointTable, table.parentId.values[row - first]!);
    const path = point === null ? null : pointPath(points)(batch, point);
    return path === null ? null : { ...path, exemplar: placeAmongEqual(table.parentId.values, row - first) };
  }
  return null;
}

interface TableWithIds {
  readonly rowCount: number;
  readonly id: { readonly values: ArrayLike<number>; readonly validity: Uint8Array | null } | null;
}

function rowOfId({ id, rowCount }: TableWithIds, wanted: number): number | null {
  for (let row = 0; id !== null && row < rowCount; row++) {
    if (id.values[row] === wanted && id.validity?.[row] !== 0) return row;
  }
  return null;
}

/** How many rows before `row` have the same parent: trees list children in the order of their table. */
function placeAmongEqual(parents: ArrayLike<number>, row: number): number {
  let place = 0;
  for (let other = 0; other < row; other++) if (parents[other] === parents[row]) place++;
  return place;
}

function metricWith(batch: MetricsBatch, { metric, points, point, exemplar }: Path): DecodedRow | null {
  const found = nth(decodedRows(batch), metric);
  if (found === undefined) return null;
  const record = found.record as Readonly<Record<string, Tree>>;
  const own = Object.entries(record).filter(([name]) => !ALL_POINTS.has(name));
  const tree = (record[points] as readonly Tree[])[point] as Readonly<Record<string, Tree>>;
  const shown = exemplar === null ? tree : { ...tree, exemplars: [(tree['exemplars'] as readonly Tree[])[exemplar]!] };
  return { ...found, record: { ...Object.fromEntries(own), [points]: [shown] } };
}

const ALL_POINTS: ReadonlySet<string> = new Set([
  'numberDataPoints',
  'histogramDataPoints',
  'expHistogramDataPoints',
  'summaryDataPoints',
]);

function nth<Item>(items: Iterable<Item>, wanted: number): Item | undefined {
  let at = 0;
  for (const item of items) if (at++ === wanted) return item;
  return undefined;
}
