/**
 * A canonical form of telemetry for comparisons: one plain object a log record, span or data point, self-contained, so that two sides
 * can be compared whatever order and grouping their messages had. Times and 64-bit integers are decimal strings, doubles the 16
 * hex digits of their bits (`nan` for every NaN), bytes and ids hex.
 */

/** A typed value: `{s}` string, `{i}` integer, `{d}` double, `{b}` boolean, `{x}` bytes, `{m}` map, `{a}` array, null for none. */
export type TypedValue =
  | { s: string }
  | { i: string }
  | { d: string }
  | { b: boolean }
  | { x: string }
  | { m: [string, TypedValue][] }
  | { a: TypedValue[] }
  | null;

export type Pair = [string, TypedValue];

export type TelemetryRow = Readonly<Record<string, unknown>>;

const doubleBits = new DataView(new ArrayBuffer(8));

/** The bits of a double as text. */
export function doubleText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  doubleBits.setFloat64(0, value);
  return doubleBits.getBigUint64(0).toString(16).padStart(16, '0');
}

/** 64 bits as an unsigned decimal, as OTLP reads times. */
export function unsignedText(value: bigint): string {
  return BigInt.asUintN(64, value).toString();
}

/** Sorts pairs by key, then by value. Duplicates stay. */
export function sortPairs(pairs: Pair[]): Pair[] {
  return sortByText(
    pairs.map(([key, value]) => [key, sortValue(value)] as Pair),
    (pair) => `${pair[0]}\0${JSON.stringify(pair[1])}`,
  );
}

/** Sorts by the JSON text of the items. */
export function sortCanonical<Item>(items: Item[]): Item[] {
  return sortByText(items, (item) => JSON.stringify(item));
}

/** One line a row, sorted: equal lists mean equal sets of rows, duplicates counted. */
export function canonicalLines(rows: Iterable<TelemetryRow>): string[] {
  return [...rows].map((row) => JSON.stringify(sortKeys(row))).toSorted();
}

function sortValue(value: TypedValue): TypedValue {
  if (value === null) return null;
  if ('m' in value) return { m: sortPairs(value.m) };
  if ('a' in value) return { a: value.a.map(sortValue) };
  return value;
}

function sortByText<Item>(items: Item[], text: (item: Item) => string): Item[] {
  return items
    .map((item) => ({ item, text: text(item) }))
    .toSorted((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0))
    .map(({ item }) => item);
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([key, item]) => [key, sortKeys(item)]),
  );
}
