import { TreasuryError } from '../../../base/index.ts';
import { compensationOf } from './compensated-sum.ts';
import { coarserIndex, hasCustomBuckets, haveEqualBounds, upperBound } from './histogram-bounds.ts';
import { CUSTOM_BUCKETS_SCHEMA, type CounterResetHint, type FloatHistogram, type SparseBuckets } from './histogram.ts';
import { withoutEmpty } from './histogram-difference.ts';
import { countsBelowThreshold, zeroCountUpTo } from './histogram-zero.ts';

/** What an addition came across; both become annotations. */
export interface AdditionNotes {
  /** One operand says that its counter was reset, the other that it was not. */
  readonly counterResetCollision: boolean;
  /** Custom bounds differ, so that only the common ones were kept. */
  readonly boundsReconciled: boolean;
}

interface Side {
  indexes: Int32Array;
  counts: Float64Array;
  compensations: Float64Array;
}

/**
 * A running sum of histograms whose rounding errors are kept aside. Histograms of other schemas, zero thresholds and custom bounds are brought to the
 * coarser common form, as Prometheus' FloatHistogram.KahanAdd and Sub do.
 */
export class HistogramSum {
  #schema: number;
  #hint: CounterResetHint;
  #zeroThreshold: number;
  #customValues: Float64Array;
  /** Zero count, count and sum, each with its compensation behind it. */
  readonly #totals: Float64Array;
  #positive: Side;
  #negative: Side;

  constructor(first: FloatHistogram) {
    this.#schema = first.schema;
    this.#hint = first.counterReset;
    this.#zeroThreshold = first.zeroThreshold;
    this.#customValues = first.customValues;
    this.#totals = Float64Array.of(first.zeroCount, 0, first.count, 0, first.sum, 0);
    this.#positive = sideOf(first.positive);
    this.#negative = sideOf(first.negative);
  }

  /** Adds (`sign` 1) or subtracts (-1). Throws when one has exponential and the other custom buckets: ask `areCompatible` first. */
  add(other: FloatHistogram, sign: 1 | -1 = 1): AdditionNotes {
    if ((this.#schema === CUSTOM_BUCKETS_SCHEMA) !== hasCustomBuckets(other))
      throw new TreasuryError(
        'TREASURY_QUERY_INVALID',
        'Cannot add histograms: one has exponential buckets, the other custom ones',
      );
    const counterResetCollision = this.#joinHints(other.counterReset);
    let boundsReconciled = false;
    if (hasCustomBuckets(other)) boundsReconciled = this.#addCustom(other, sign);
    else this.#addExponential(other, sign);
    this.#increase(2, sign * other.count);
    this.#increase(4, sign * other.sum);
    return { counterResetCollision, boundsReconciled };
  }

  /** Multiplies everything, compensations too. A negative factor makes a gauge. */
  multiply(factor: number): void {
    for (const values of this.#columns()) for (let at = 0; at < values.length; at++) values[at]! *= factor;
    if (factor < 0) this.#hint = 'gauge';
  }

  /** Whether any part has become infinite, so that a mean must go on incrementally. */
  hasOverflow(): boolean {
    for (const values of this.#columns()) {
      for (const value of values)
        if (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY) return true;
    }
    return this.#customValues.some((bound) => Math.abs(bound) === Number.POSITIVE_INFINITY);
  }

  /** The sum so far with its compensations added, without empty buckets. */
  total(): FloatHistogram {
    const [zeroCount, zeroCompensation, count, countCompensation, sum, sumCompensation] = this.#totals;
    return {
      schema: this.#schema,
      counterReset: this.#hint,
      zeroThreshold: this.#zeroThreshold,
      zeroCount: zeroCount! + zeroCompensation!,
      count: count! + countCompensation!,
      sum: sum! + sumCompensation!,
      positive: compactSide(this.#positive),
      negative: compactSide(this.#negative),
      customValues: this.#customValues,
    };
  }

  #addExponential(other: FloatHistogram, sign: number): void {
    const otherZeroCount = this.#reconcileZeroBuckets(other);
    this.#increase(0, sign * otherZeroCount);
    if (other.schema < this.#schema) {
      this.#positive = coarsened(this.#positive, this.#schema, other.schema);
      this.#negative = coarsened(this.#negative, this.#schema, other.schema);
      this.#schema = other.schema;
    }
    this.#positive = this.#addSide(this.#positive, other.positive, other.schema, sign);
    this.#negative = this.#addSide(this.#negative, other.negative, other.schema, sign);
  }

  /** Adds buckets above the zero bucket; those inside it are part of its count already. */
  #addSide(side: Side, other: SparseBuckets, schema: number, sign: number): Side {
    let buckets: SparseBuckets = other;
    if (schema > this.#schema) buckets = coarsened(sideOf(other), schema, this.#schema);
    let first = 0;
    while (
      first < buckets.indexes.length &&
      upperBound(buckets.indexes[first]!, this.#schema, this.#customValues) <= this.#zeroThreshold
    )
      first++;
    return merged(side, buckets, first, sign);
  }

  #addCustom(other: FloatHistogram, sign: number): boolean {
    if (haveEqualBounds(this.#customValues, other.customValues)) {
      this.#positive = merged(this.#positive, other.positive, 0, sign);
      return false;
    }
    const common = this.#customValues.filter((bound) => other.customValues.includes(bound));
    this.#positive = onBounds(this.#positive, this.#customValues, common);
    this.#positive = merged(this.#positive, onBounds(sideOf(other.positive), other.customValues, common), 0, sign);
    this.#customValues = common;
    return true;
  }

  /** Widens the narrower zero bucket until both are equally wide, over whole buckets. Returns the zero count that `other` then has. */
  #reconcileZeroBuckets(other: FloatHistogram): number {
    let otherCount = other.zeroCount;
    let otherThreshold = other.zeroThreshold;
    while (otherThreshold !== this.#zeroThreshold) {
      if (this.#zeroThreshold > otherThreshold) {
        const widened = zeroCountUpTo(other, this.#zeroThreshold);
        otherCount = widened.zeroCount;
        otherThreshold = widened.zeroThreshold;
      }
      if (otherThreshold > this.#zeroThreshold) this.#widenZeroBucket(otherThreshold);
    }
    return otherCount;
  }

  #widenZeroBucket(threshold: number): void {
    const widened = zeroCountUpTo(this.#parts(), threshold);
    this.#zeroThreshold = widened.zeroThreshold;
    for (const side of [this.#positive, this.#negative]) {
      const inside = countsBelowThreshold(side.indexes, this.#schema, this.#zeroThreshold);
      for (let at = 0; at < inside; at++) {
        this.#increase(0, side.counts[at]!);
        this.#increase(0, side.compensations[at]!);
      }
      side.indexes = side.indexes.subarray(inside);
      side.counts = side.counts.subarray(inside);
      side.compensations = side.compensations.subarray(inside);
    }
  }

  #parts(): FloatHistogram {
    return {
      schema: this.#schema,
      counterReset: this.#hint,
      zeroThreshold: this.#zeroThreshold,
      zeroCount: this.#totals[0]!,
      count: this.#totals[2]!,
      sum: this.#totals[4]!,
      positive: this.#positive,
      negative: this.#negative,
      customValues: this.#customValues,
    };
  }

  #increase(at: 0 | 2 | 4, value: number): void {
    const sum = this.#totals[at]!;
    const total = sum + value;
    this.#totals[at + 1] = compensationOf(sum, value, total, this.#totals[at + 1]!);
    this.#totals[at] = total;
  }

  #joinHints(other: CounterResetHint): boolean {
    const own = this.#hint;
    if (own === other || own === 'gauge' || own === 'unknown') {
      if (other === 'gauge') this.#hint = 'gauge';
      return false;
    }
    this.#hint = other === 'gauge' ? 'gauge' : 'unknown';
    return other !== 'gauge' && other !== 'unknown';
  }

  #columns(): Float64Array[] {
    const { counts, compensations } = this.#positive;
    return [this.#totals, counts, compensations, this.#negative.counts, this.#negative.compensations];
  }
}

/** Copies, since sums are changed in place. */
function sideOf(buckets: SparseBuckets): Side {
  return {
    indexes: buckets.indexes,
    counts: buckets.counts.slice(),
    compensations: new Float64Array(buckets.counts.length),
  };
}

/** `side` with the buckets of `other` from position `first` on added; in place while it has all of them already, which is the usual case. */
function merged(side: Side, other: SparseBuckets, first: number, sign: number): Side {
  let target = side;
  let { indexes, counts, compensations } = side;
  let at = 0;
  for (let from = first; from < other.indexes.length; from++) {
    const index = other.indexes[from]!;
    while (at < indexes.length && indexes[at]! < index) at++;
    if (at === indexes.length || indexes[at] !== index) {
      target = widened(target, other.indexes, from);
      ({ indexes, counts, compensations } = target);
    }
    const sum = counts[at]!;
    const value = sign * other.counts[from]!;
    const total = sum + value;
    compensations[at] = compensationOf(sum, value, total, compensations[at]!);
    counts[at] = total;
  }
  return target;
}

/** `side` with room for the buckets `others` too. */
function widened(side: Side, others: Int32Array, first: number): Side {
  const most = side.indexes.length + others.length - first;
  const result = {
    indexes: new Int32Array(most),
    counts: new Float64Array(most),
    compensations: new Float64Array(most),
  };
  let size = 0;
  let at = 0;
  let from = first;
  while (at < side.indexes.length || from < others.length) {
    const index = Math.min(side.indexes[at] ?? Number.MAX_VALUE, others[from] ?? Number.MAX_VALUE);
    result.indexes[size] = index;
    if (side.indexes[at] === index) {
      result.counts[size] = side.counts[at]!;
      result.compensations[size] = side.compensations[at]!;
      at++;
    }
    if (others[from] === index) from++;
    size++;
  }
  return {
    indexes: result.indexes.subarray(0, size),
    counts: result.counts.subarray(0, size),
    compensations: result.compensations.subarray(0, size),
  };
}

/** Merges buckets into those of a coarser schema. */
function coarsened(side: Side, fromSchema: number, toSchema: number): Side {
  return regrouped(side, (index) => coarserIndex(index, fromSchema, toSchema));
}

/** Merges custom buckets into those between fewer bounds, all of which they had. */
function onBounds(side: Side, bounds: Float64Array, fewer: Float64Array): Side {
  return regrouped(side, (index) => {
    const bound = index < bounds.length ? bounds[index]! : Number.POSITIVE_INFINITY;
    const target = fewer.findIndex((candidate) => candidate >= bound);
    return target === -1 ? fewer.length : target;
  });
}

function regrouped(side: Side, targetOf: (index: number) => number): Side {
  const length = side.indexes.length;
  const result = {
    indexes: new Int32Array(length),
    counts: new Float64Array(length),
    compensations: new Float64Array(length),
  };
  let last = -1;
  for (let from = 0; from < length; from++) {
    const target = targetOf(side.indexes[from]!);
    if (last === -1 || result.indexes[last] !== target) result.indexes[++last] = target;
    for (const value of [side.counts[from]!, side.compensations[from]!]) {
      const sum = result.counts[last]!;
      const total = sum + value;
      result.compensations[last] = compensationOf(sum, value, total, result.compensations[last]!);
      result.counts[last] = total;
    }
  }
  return {
    indexes: result.indexes.subarray(0, last + 1),
    counts: result.counts.subarray(0, last + 1),
    compensations: result.compensations.subarray(0, last + 1),
  };
}

function compactSide({ indexes, counts, compensations }: Side): SparseBuckets {
  const totals = new Float64Array(counts.length);
  let size = 0;
  for (let at = 0; at < counts.length; at++) {
    totals[at] = counts[at]! + compensations[at]!;
    if (totals[at] !== 0) size++;
  }
  return size === totals.length ? { indexes, counts: totals } : withoutEmpty(indexes, totals, size);
}
