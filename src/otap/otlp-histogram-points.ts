/** Histogram and exponential histogram data points while they are filled. */
import type { MetricsBatch } from './canonical.ts';
import { ListFiller, OptionalWordsFiller, U32Filler, WordsFiller } from './otlp-columns.ts';
import { ExemplarsFiller } from './otlp-exemplars.ts';
import type { OtlpFill } from './otlp-fill.ts';
import { OTLP_ROWS } from './otlp-messages.ts';
import { PointFiller } from './otlp-points.ts';

const HISTOGRAM = {
  START_TIME_UNIX_NANO: 2,
  TIME_UNIX_NANO: 3,
  COUNT: 4,
  SUM: 5,
  BUCKET_COUNTS: 6,
  EXPLICIT_BOUNDS: 7,
  EXEMPLARS: 8,
  ATTRIBUTES: 9,
  FLAGS: 10,
  MIN: 11,
  MAX: 12,
} as const;
const EXP_HISTOGRAM = {
  ATTRIBUTES: 1,
  START_TIME_UNIX_NANO: 2,
  TIME_UNIX_NANO: 3,
  COUNT: 4,
  SUM: 5,
  SCALE: 6,
  ZERO_COUNT: 7,
  POSITIVE: 8,
  NEGATIVE: 9,
  FLAGS: 10,
  EXEMPLARS: 11,
  MIN: 12,
  MAX: 13,
  ZERO_THRESHOLD: 14,
} as const;
const BUCKETS = { OFFSET: 1, BUCKET_COUNTS: 2 } as const;

export class HistogramPointsFiller {
  readonly #fill: OtlpFill;
  readonly #points: PointFiller;
  readonly #exemplars: ExemplarsFiller;
  readonly #count: WordsFiller;
  readonly #sum: OptionalWordsFiller;
  readonly #min: OptionalWordsFiller;
  readonly #max: OptionalWordsFiller;
  readonly #bucketCounts: ListFiller;
  readonly #explicitBounds: ListFiller;

  constructor(fill: OtlpFill) {
    const capacity = fill.countOf(OTLP_ROWS.histogramDataPoints);
    this.#fill = fill;
    this.#points = new PointFiller(fill, capacity, OTLP_ROWS.histogramDpAttrs);
    this.#exemplars = new ExemplarsFiller(fill, OTLP_ROWS.histogramDpExemplars, OTLP_ROWS.histogramDpExemplarAttrs);
    this.#count = new WordsFiller(capacity);
    this.#sum = new OptionalWordsFiller(capacity);
    this.#min = new OptionalWordsFiller(capacity);
    this.#max = new OptionalWordsFiller(capacity);
    this.#bucketCounts = new ListFiller(capacity, fill.countOf(OTLP_ROWS.histogramBuckets));
    this.#explicitBounds = new ListFiller(capacity, fill.countOf(OTLP_ROWS.histogramBounds));
  }

  /** Reads the point from the wire's position to `end`. */
  read(metric: number, end: number): void {
    const { wire } = this.#fill;
    const points = this.#points;
    const row = points.begin(metric);
    while (wire.at < end) {
      const tag = wire.tag();
      switch (tag >>> 3) {
        case HISTOGRAM.START_TIME_UNIX_NANO:
          points.startTime.read(wire, row);
          break;
        case HISTOGRAM.TIME_UNIX_NANO:
          points.time.read(wire, row);
          break;
        case HISTOGRAM.COUNT:
          this.#count.read(wire, row);
          break;
        case HISTOGRAM.SUM:
          this.#sum.read(wire, row);
          break;
        case HISTOGRAM.BUCKET_COUNTS:
          this.#bucketCounts.readFixed64(wire, row, tag);
          break;
        case HISTOGRAM.EXPLICIT_BOUNDS:
          this.#explicitBounds.readFixed64(wire, row, tag);
          break;
        case HISTOGRAM.EXEMPLARS:
          this.#exemplars.read(row);
          break;
        case HISTOGRAM.ATTRIBUTES:
          points.attributes.read(row);
          break;
        case HISTOGRAM.FLAGS:
          points.flags.set(row, wire.uint32());
          break;
        case HISTOGRAM.MIN:
          this.#min.read(wire, row);
          break;
        case HISTOGRAM.MAX:
          this.#max.read(wire, row);
          break;
        default:
          wire.skip(tag);
      }
    }
  }

  finish(): Pick<
    MetricsBatch,
    'histogramDataPoints' | 'histogramDpAttrs' | 'histogramDpExemplars' | 'histogramDpExemplarAttrs'
  > {
    const { rowCount } = this.#points;
    const histogramDpAttrs = this.#points.attributes.finish();
    const { exemplars, attributes } = this.#exemplars.finish();
    const histogramDataPoints =
      rowCount === 0
        ? null
        : {
            ...this.#points.finish(histogramDpAttrs !== null || exemplars !== null),
            count: this.#count.finishUnsigned(rowCount),
            sum: this.#sum.finishDouble(rowCount),
            bucketCounts: this.#bucketCounts.finishUnsigned(rowCount),
            explicitBounds: this.#explicitBounds.finishDouble(rowCount),
            min: this.#min.finishDouble(rowCount),
            max: this.#max.finishDouble(rowCount),
          };
    return {
      histogramDataPoints,
      histogramDpAttrs,
      histogramDpExemplars: exemplars,
      histogramDpExemplarAttrs: attributes,
    };
  }
}

export class ExpHistogramPointsFiller {
  readonly #fill: OtlpFill;
  readonly #points: PointFiller;
  readonly #exemplars: ExemplarsFiller;
  readonly #count: WordsFiller;
  readonly #sum: OptionalWordsFiller;
  readonly #scale: U32Filler;
  readonly #zeroCount: WordsFiller;
  readonly #positiveOffset: U32Filler;
  readonly #positiveCounts: ListFiller;
  readonly #negativeOffset: U32Filler;
  readonly #negativeCounts: ListFiller;
  readonly #min: OptionalWordsFiller;
  readonly #max: OptionalWordsFiller;
  readonly #zeroThreshold: WordsFiller;

  constructor(fill: OtlpFill) {
    const capacity = fill.countOf(OTLP_ROWS.expHistogramDataPoints);
    this.#fill = fill;
    this.#points = new PointFiller(fill, capacity, OTLP_ROWS.expHistogramDpAttrs);
    this.#exemplars = new ExemplarsFiller(
      fill,
      OTLP_ROWS.expHistogramDpExemplars,
      OTLP_ROWS.expHistogramDpExemplarAttrs,
    );
    this.#count = new WordsFiller(capacity);
    this.#sum = new OptionalWordsFiller(capacity);
    this.#scale = new U32Filler(capacity);
    this.#zeroCount = new WordsFiller(capacity);
    this.#positiveOffset = new U32Filler(capacity);
    this.#positiveCounts = new ListFiller(capacity, fill.countOf(OTLP_ROWS.positiveBuckets));
    this.#negativeOffset = new U32Filler(capacity);
    this.#negativeCounts = new ListFiller(capacity, fill.countOf(OTLP_ROWS.negativeBuckets));
    this.#min = new OptionalWordsFiller(capacity);
    this.#max = new OptionalWordsFiller(capacity);
    this.#zeroThreshold = new WordsFiller(capacity);
  }

  /** Reads the point from the wire's position to `end`. */
  read(metric: number, end: number): void {
    const { wire } = this.#fill;
    const points = this.#points;
    const row = points.begin(metric);
    while (wire.at < end) {
      const tag = wire.tag();
      switch (tag >>> 3) {
        case EXP_HISTOGRAM.ATTRIBUTES:
          points.attributes.read(row);
          break;
        case EXP_HISTOGRAM.START_TIME_UNIX_NANO:
          points.startTime.read(wire, row);
          break;
        case EXP_HISTOGRAM.TIME_UNIX_NANO:
          points.time.read(wire, row);
          break;
        case EXP_HISTOGRAM.COUNT:
          this.#count.read(wire, row);
          break;
        case EXP_HISTOGRAM.SUM:
          this.#sum.read(wire, row);
          break;
        case EXP_HISTOGRAM.SCALE:
          this.#scale.set(row, wire.sint32());
          break;
        case EXP_HISTOGRAM.ZERO_COUNT:
          this.#zeroCount.read(wire, row);
          break;
        case EXP_HISTOGRAM.POSITIVE:
          this.#readBuckets(row, this.#positiveOffset, this.#positiveCounts);
          break;
        case EXP_HISTOGRAM.NEGATIVE:
          this.#readBuckets(row, this.#negativeOffset, this.#negativeCounts);
          break;
        case EXP_HISTOGRAM.FLAGS:
          points.flags.set(row, wire.uint32());
          break;
        case EXP_HISTOGRAM.EXEMPLARS:
          this.#exemplars.read(row);
          break;
        case EXP_HISTOGRAM.MIN:
          this.#min.read(wire, row);
          break;
        case EXP_HISTOGRAM.MAX:
          this.#max.read(wire, row);
          break;
        case EXP_HISTOGRAM.ZERO_THRESHOLD:
          this.#zeroThreshold.read(wire, row);
          break;
        default:
          wire.skip(tag);
      }
    }
  }

  finish(): Pick<
    MetricsBatch,
    'expHistogramDataPoints' | 'expHistogramDpAttrs' | 'expHistogramDpExemplars' | 'expHistogramDpExemplarAttrs'
  > {
    const { rowCount } = this.#points;
    const expHistogramDpAttrs = this.#points.attributes.finish();
    const { exemplars, attributes } = this.#exemplars.finish();
    const expHistogramDataPoints =
      rowCount === 0
        ? null
        : {
            ...this.#points.finish(expHistogramDpAttrs !== null || exemplars !== null),
            count: this.#count.finishUnsigned(rowCount),
            sum: this.#sum.finishDouble(rowCount),
            scale: this.#scale.finishSigned(rowCount),
            zeroCount: this.#zeroCount.finishUnsigned(rowCount),
            positiveOffset: this.#positiveOffset.finishSigned(rowCount),
            positiveBucketCounts: this.#positiveCounts.finishUnsigned(rowCount),
            negativeOffset: this.#negativeOffset.finishSigned(rowCount),
            negativeBucketCounts: this.#negativeCounts.finishUnsigned(rowCount),
            min: this.#min.finishDouble(rowCount),
            max: this.#max.finishDouble(rowCount),
            zeroThreshold: this.#zeroThreshold.finishDouble(rowCount),
          };
    return {
      expHistogramDataPoints,
      expHistogramDpAttrs,
      expHistogramDpExemplars: exemplars,
      expHistogramDpExemplarAttrs: attributes,
    };
  }

  #readBuckets(row: number, offset: U32Filler, counts: ListFiller): void {
    const { wire } = this.#fill;
    const end = wire.valueEnd();
    while (wire.at < end) {
      const tag = wire.tag();
      if (tag >>> 3 === BUCKETS.OFFSET) offset.set(row, wire.sint32());
      else if (tag >>> 3 === BUCKETS.BUCKET_COUNTS) counts.readVarints(wire, row, tag);
      else wire.skip(tag);
    }
  }
}
