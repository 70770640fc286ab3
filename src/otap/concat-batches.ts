import { assert, BatchTooLargeError, type Signal } from '../base/index.ts';
import type { CanonicalBatch } from './canonical.ts';
import { concatColumns, type TablePart } from './concat-columns.ts';

/**
 * Batches of one signal as one: their rows one batch after the other, each with what belongs to it. Ids are numbered on from batch to
 * batch, so that no row gets another parent, or one that it did not have. Throws BatchTooLargeError when 32 bits do not tell them apart.
 */
export function concatBatches(batches: readonly CanonicalBatch[]): CanonicalBatch {
  const [first] = batches;
  assert(first !== undefined, 'there must be a batch');
  if (batches.length === 1) return first;
  const { signal } = first;
  assert(
    batches.every((batch) => batch.signal === signal),
    'batches of several signals are no batch',
  );
  const tables = ID_COLUMNS[signal];
  const shifts = shiftsOf(batches as readonly Tables[], tables);
  const whole: Record<string, unknown> = { signal };
  for (const [name, columns] of Object.entries(tables)) {
    const parts: TablePart[] = [];
    for (const [i, batch] of (batches as readonly Tables[]).entries()) {
      const table = batch[name] as Table | null;
      if (table !== null) parts.push({ table, shiftOf: (column) => shiftFor(columns, column, shifts[i]!) });
    }
    whole[name] = parts.length === 0 ? null : concatColumns(parts);
  }
  whole['repairedStrings'] = batches.reduce((sum, { repairedStrings }) => sum + repairedStrings, 0);
  return whole as unknown as CanonicalBatch;
}

type Table = TablePart['table'];
type Tables = CanonicalBatch & Readonly<Record<string, unknown>>;
/** The rows that numbers are of, by the column that holds them. */
type IdColumns = Readonly<Record<string, string>>;

/** Numbers above are none of 32 bits, as ids are in memory. */
const IDS_MAX = 2 ** 32;

const ROOT = { id: 'root', resourceId: 'resource', scopeId: 'scope' } as const;
const OWNERS = { resourceAttrs: { parentId: 'resource' }, scopeAttrs: { parentId: 'scope' } } as const;

/** All tables of a batch, and which of their columns hold ids. */
const ID_COLUMNS: Readonly<Record<Signal, Readonly<Record<string, IdColumns>>>> = {
  logs: { ...OWNERS, logs: ROOT, logAttrs: { parentId: 'root' } },
  traces: {
    ...OWNERS,
    spans: ROOT,
    spanAttrs: { parentId: 'root' },
    spanEvents: { id: 'event', parentId: 'root' },
    spanLinks: { id: 'link', parentId: 'root' },
    spanEventAttrs: { parentId: 'event' },
    spanLinkAttrs: { parentId: 'link' },
  },
  metrics: {
    ...OWNERS,
    metrics: ROOT,
    metricAttrs: { parentId: 'root' },
    numberDataPoints: { id: 'number', parentId: 'root' },
    summaryDataPoints: { id: 'summary', parentId: 'root' },
    histogramDataPoints: { id: 'histogram', parentId: 'root' },
    expHistogramDataPoints: { id: 'expHistogram', parentId: 'root' },
    numberDpAttrs: { parentId: 'number' },
    summaryDpAttrs: { parentId: 'summary' },
    histogramDpAttrs: { parentId: 'histogram' },
    expHistogramDpAttrs: { parentId: 'expHistogram' },
    numberDpExemplars: { id: 'numberExemplar', parentId: 'number' },
    histogramDpExemplars: { id: 'histogramExemplar', parentId: 'histogram' },
    expHistogramDpExemplars: { id: 'expHistogramExemplar', parentId: 'expHistogram' },
    numberDpExemplarAttrs: { parentId: 'numberExemplar' },
    histogramDpExemplarAttrs: { parentId: 'histogramExemplar' },
    expHistogramDpExemplarAttrs: { parentId: 'expHistogramExemplar' },
  },
};

function shiftFor(columns: IdColumns, column: string, shifts: ReadonlyMap<string, number>): number | null {
  const of = columns[column];
  return of === undefined ? null : (shifts.get(of) ?? 0);
}

/** What is added to the ids of each batch: all that the batches before it use are below. */
function shiftsOf(batches: readonly Tables[], tables: Readonly<Record<string, IdColumns>>): Map<string, number>[] {
  const next = new Map<string, number>();
  return batches.map((batch) => {
    const shifts = new Map(next);
    for (const [name, columns] of Object.entries(tables)) {
      const table = batch[name] as Table | null;
      if (table === null) continue;
      for (const [column, of] of Object.entries(columns)) {
        // Ids of parents that are not there count: no row of the next batch may become theirs.
        const end = (shifts.get(of) ?? 0) + largestId(table[column] ?? null) + 1;
        if (end > IDS_MAX) throw tooManyIds(of, end);
        if (end > (next.get(of) ?? 0)) next.set(of, end);
      }
    }
    return shifts;
  });
}

function tooManyIds(of: string, end: number): BatchTooLargeError {
  return new BatchTooLargeError(
    `Cannot make one batch of several: ids of ${of} rows would go up to ${end - 1}, above ${IDS_MAX - 1}`,
    { idsMax: IDS_MAX },
  );
}

/** -1 when there is none. The value under a null row is 0, which costs a number at most. */
function largestId(column: Table[string] | null): number {
  if (column === null || typeof column === 'number') return -1;
  const values = (ArrayBuffer.isView(column) ? column : 'values' in column ? column.values : []) as ArrayLike<number>;
  let largest = -1;
  for (let row = 0; row < values.length; row++) if (values[row]! > largest) largest = values[row]!;
  return largest;
}
