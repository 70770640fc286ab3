/**
 * Goal: points of a scan, in whatever order they come, are given out by series and by time.
 * Method: random points in random chunks, against a plain sort of them; for buckets, against each bucket read on its own.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bucketColumns } from '../../../../src/api/query/prometheus/bucket-columns.ts';
import { PointSlots } from '../../../../src/api/query/prometheus/point-slots.ts';
import { PointTable } from '../../../../src/api/query/prometheus/point-table.ts';
import { SampleColumns } from '../../../../src/api/query/prometheus/sample-columns.ts';
import { TotalColumns } from '../../../../src/api/query/prometheus/total-columns.ts';
import type { FloatRows } from '../../../../src/api/query/promql/float-rows.ts';
import type { FloatColumn } from '../../../../src/api/query/promql/source.ts';
import { StaleMarks } from '../../../../src/api/query/promql/stale.ts';
import { type HistogramChunk, type SampleChunk, UNKNOWN_ORDINAL } from '../../../../src/materialize/index.ts';
import { SortedHistograms } from '../../../../src/materialize/scan/sorted-histograms.ts';
import { SampleSorter } from '../../../../src/materialize/scan/sample-sorter.ts';

interface Point {
  readonly ordinal: number;
  readonly timeMs: number;
  readonly value: number;
  readonly startMs: number;
  readonly isEnd: boolean;
}

const point: fc.Arbitrary<Point> = fc.record({
  ordinal: fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constant(UNKNOWN_ORDINAL)),
  timeMs: fc.integer({ min: 0, max: 40 }),
  value: fc.integer({ min: -5, max: 1000 }),
  startMs: fc.integer({ min: 0, max: 40 }),
  isEnd: fc.nat(9).map((chance) => chance === 0),
});

const options = fc.record({
  isDelta: fc.boolean(),
  fromMs: fc.constantFrom(0, 15),
  withStartTimes: fc.boolean(),
});

/** Mostly rising times, as they are stored. */
const chunks = fc
  .tuple(fc.array(fc.array(point, { maxLength: 40 }), { maxLength: 5 }), fc.boolean())
  .map(([lists, isSorted]) => (isSorted ? [lists.flat().sort((left, right) => left.timeMs - right.timeMs)] : lists));

function sampleChunk(points: readonly Point[]): SampleChunk {
  return {
    ordinals: Uint32Array.from(points, ({ ordinal }) => ordinal),
    timesMs: Float64Array.from(points, ({ timeMs }) => timeMs),
    values: Float64Array.from(points, ({ value }) => value),
    flags: Uint32Array.from(points, ({ isEnd }) => (isEnd ? 1 : 0)),
    startTimesMs: Float64Array.from(points, ({ startMs }) => startMs),
  };
}

interface Options {
  readonly isDelta: boolean;
  readonly fromMs: number;
  readonly withStartTimes: boolean;
}

/** `time:value` of one series, by the rules in the plainest form. */
function expected(points: readonly Point[], { isDelta, fromMs, withStartTimes }: Options): string[] {
  const last = new Map(points.map((one) => [one.timeMs, one]));
  let total = 0;
  const texts: string[] = [];
  for (const one of [...last.values()].sort((left, right) => left.timeMs - right.timeMs)) {
    if (!one.isEnd) total += one.value;
    if (one.timeMs < fromMs) continue;
    const value = one.isEnd ? 'stale' : isDelta ? total : one.value;
    texts.push(`${one.timeMs}:${value}${withStartTimes ? `@${isDelta ? 0 : one.startMs}` : ''}`);
  }
  return texts;
}

function shown({ timesMs, values, startTimesMs }: FloatColumn): string[] {
  const stale = new StaleMarks(values);
  return Array.from(timesMs, (timeMs, at) => {
    const start = startTimesMs === undefined ? '' : `@${startTimesMs[at]}`;
    return `${timeMs}:${stale.at(at) ? 'stale' : values[at]}${start}`;
  });
}

test('samples come by series and time, of one time the last', () => {
  fc.assert(
    fc.property(chunks, options, fc.constantFrom(1, 7, 1000), (lists, wanted, runPoints) => {
      const slots = new PointSlots([8, 1, 3, 1, 5]);
      const columns = new SampleColumns(slots, wanted, runPoints);
      for (const list of lists) columns.add(sampleChunk(list));
      columns.finish();
      for (const ordinal of slots.ordinals) {
        const points = lists.flat().filter((one) => one.ordinal === ordinal);
        assert.deepEqual(shown(columns.column(slots.of(ordinal))), expected(points, wanted));
      }
    }),
    { numRuns: 300 },
  );
});

interface HistogramPoint extends Point {
  readonly bounds: readonly number[];
  /** One more than bounds, or none. */
  readonly buckets: readonly number[];
}

const histogramPoint: fc.Arbitrary<HistogramPoint> = fc
  .tuple(point, fc.constantFrom([1, 2, 5], [1, 2, 5], [1, 5], [2], [0.5, 1, 2, 5, 10], []), fc.boolean())
  .chain(([one, bounds, hasBuckets]) => {
    const length = hasBuckets || bounds.length > 0 ? bounds.length + 1 : 0;
    return fc
      .array(fc.nat(9), { minLength: length, maxLength: length })
      .map((buckets) => ({ ...one, value: buckets.reduce((sum, count) => sum + count, 0), bounds, buckets }));
  });

function histogramChunk(points: readonly HistogramPoint[]): HistogramChunk {
  const offsets = (lists: readonly (readonly number[])[]): Uint32Array => {
    let end = 0;
    return Uint32Array.from([[], ...lists], (list) => (end += list.length));
  };
  return {
    ...sampleChunk(points),
    counts: Float64Array.from(points, ({ value }) => value),
    sums: new Float64Array(points.length),
    bucketOffsets: offsets(points.map(({ buckets }) => buckets)),
    bucketCounts: Float64Array.from(points.flatMap(({ buckets }) => [...buckets])),
    boundOffsets: offsets(points.map(({ bounds }) => bounds)),
    bounds: Float64Array.from(points.flatMap(({ bounds }) => [...bounds])),
  };
}

/** The point as one of a single bucket; undefined when it lacks that. */
function inBucket(one: HistogramPoint, bound: string): Point | undefined {
  if (bound === '+Inf') return one;
  const at = one.bounds.indexOf(Number(bound));
  if (at === -1) return undefined;
  return { ...one, value: one.buckets.slice(0, at + 1).reduce((sum, count) => sum + count, 0) };
}

test('buckets of points with different bounds are in the series of the bounds that they have', () => {
  fc.assert(
    fc.property(fc.array(fc.array(histogramPoint, { maxLength: 30 }), { maxLength: 3 }), options, (lists, wanted) => {
      const slots = new PointSlots([1, 4]);
      const points = new PointTable(lists.map(histogramChunk), slots);
      const bounds = ['5', '1', '+Inf', '2', '10'];
      for (const ordinal of slots.ordinals) {
        const columns = bucketColumns(points, slots.of(ordinal), bounds, wanted);
        // Of points at one time the last counts, whether it has the bound or not.
        const own = new Map(lists.flat().flatMap((one) => (one.ordinal === ordinal ? [[one.timeMs, one]] : [])));
        for (const [at, bound] of bounds.entries()) {
          const inSeries = [...own.values()].flatMap((one) => inBucket(one, bound) ?? []);
          assert.deepEqual(shown(columns[at]!), expected(inSeries, wanted));
        }
      }
    }),
    { numRuns: 300 },
  );
});

/** Nearly all points have one list of bounds and a value, as those of one series mostly do. */
const likePoint = fc
  .tuple(point, fc.integer({ min: 0, max: 20 }), fc.array(fc.nat(9), { minLength: 4, maxLength: 4 }))
  .map(([one, chance, buckets]): HistogramPoint => {
    const bounds = chance === 0 ? [1, 2, 7] : [1, 2, 5];
    return { ...one, isEnd: chance === 1, value: buckets.reduce((sum, count) => sum + count, 0), bounds, buckets };
  });

test('buckets that were added up before are those that are added up of points', () => {
  let added = 0;
  fc.assert(
    fc.property(
      fc.array(fc.array(likePoint, { maxLength: 12 }), { minLength: 1, maxLength: 3 }),
      fc.constantFrom([0, 40], [15, 30], [41, 50]),
      options,
      (lists, [fromMs, untilMs], wanted) => {
        const slots = new PointSlots([1, 4, 6]);
        const chunks = lists.map(histogramChunk);
        const kept = new SortedHistograms(chunks, slots.ordinals);
        const range = { fromMs: fromMs!, untilMs: untilMs!, withStartTimes: wanted.withStartTimes };
        const bounds = ['5', '1', '+Inf', '2', '10'];
        const [chunk] = [...kept.within(range)];
        if (chunk === undefined) return;
        const points = new PointTable([chunk], slots);
        for (const ordinal of slots.ordinals) {
          const slot = slots.of(ordinal);
          const own = { ...wanted, fromMs: range.fromMs };
          const columns = new TotalColumns(chunk.totals!).of(slot, bounds, own);
          if (columns === undefined) continue;
          if (points.range(slot)[0] < points.range(slot)[1]) added++;
          const others = bucketColumns(points, slot, bounds, own);
          for (const at of bounds.keys()) assert.deepEqual(shown(columns[at]!), shown(others[at]!));
          for (const column of columns) {
            const falls = column.values.some((value, at) => at > 0 && value < column.values[at - 1]!);
            assert.ok(!falls || (column as FloatRows).mayFall);
          }
        }
      },
    ),
    { numRuns: 500 },
  );
  assert.ok(added > 20, `only ${added} series had points that are alike`);
});

test('samples in order are given out as they lie, with marks where series end', () => {
  fc.assert(
    fc.property(chunks, fc.constantFrom([0, 40], [15, 30]), options, (lists, [fromMs, untilMs], wanted) => {
      const slots = new PointSlots([8, 1, 3, 5]);
      const sorter = new SampleSorter(slots.ordinals, wanted.withStartTimes);
      for (const one of lists) sorter.add(sampleChunk(one));
      const kept = sorter.sorted();
      const columns = new SampleColumns(slots, wanted);
      const range = { ordinals: slots.ordinals, fromMs: fromMs!, untilMs: untilMs! };
      for (const chunk of kept.within(range)) columns.add(chunk);
      columns.finish();
      for (const ordinal of slots.ordinals) {
        const points = lists
          .flat()
          .filter((one) => one.ordinal === ordinal && one.timeMs >= range.fromMs && one.timeMs <= range.untilMs);
        assert.deepEqual(shown(columns.column(slots.of(ordinal))), expected(points, wanted));
      }
    }),
    { numRuns: 300 },
  );
});
