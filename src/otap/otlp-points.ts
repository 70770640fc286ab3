/** Number and summary data points while they are filled, and what data points of all kinds share. */
import type { DataPointColumns, ListColumn, MetricsBatch } from './canonical.ts';
import { AttributesFiller } from './otlp-attributes.ts';
import { ListFiller, OptionalWordsFiller, rowNumbers, U32Filler, WordsFiller } from './otlp-columns.ts';
import { ExemplarsFiller } from './otlp-exemplars.ts';
import type { OtlpFill } from './otlp-fill.ts';
import { OTLP_ROWS, type OtlpMessage } from './otlp-messages.ts';

const NUMBER = {
  START_TIME_UNIX_NANO: 2,
  TIME_UNIX_NANO: 3,
  AS_DOUBLE: 4,
  EXEMPLARS: 5,
  AS_INT: 6,
  ATTRIBUTES: 7,
  FLAGS: 8,
} as const;
const SUMMARY = {
  START_TIME_UNIX_NANO: 2,
  TIME_UNIX_NANO: 3,
  COUNT: 4,
  SUM: 5,
  QUANTILE_VALUES: 6,
  ATTRIBUTES: 7,
  FLAGS: 8,
} as const;
const QUANTILE = { QUANTILE: 1, VALUE: 2 } as const;

/** The columns that data points of all kinds have, and their attributes. */
export class PointFiller {
  readonly attributes: AttributesFiller;
  readonly startTime: WordsFiller;
  readonly time: WordsFiller;
  readonly flags: U32Filler;
  readonly #parentId: Uint32Array;
  #rowCount = 0;

  constructor(fill: OtlpFill, capacity: number, attribute: OtlpMessage) {
    this.attributes = new AttributesFiller(fill, attribute);
    this.startTime = new WordsFiller(capacity);
    this.time = new WordsFiller(capacity);
    this.flags = new U32Filler(capacity);
    this.#parentId = new Uint32Array(capacity);
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  /** Begins a point of a metric; returns its row. */
  begin(metric: number): number {
    this.#parentId[this.#rowCount] = metric;
    return this.#rowCount++;
  }

  finish(hasChildren: boolean): DataPointColumns {
    const rowCount = this.#rowCount;
    return {
      rowCount,
      id: hasChildren ? rowNumbers(rowCount) : null,
      parentId: { values: this.#parentId.subarray(0, rowCount), validity: null },
      startTimeUnixNano: this.startTime.finishSigned(rowCount),
      timeUnixNano: this.time.finishSigned(rowCount),
      flags: this.flags.finish(rowCount),
    };
  }
}

export class NumberPointsFiller {
  readonly #fill: OtlpFill;
  readonly #points: PointFiller;
  readonly #exemplars: ExemplarsFiller;
  readonly #int: OptionalWordsFiller;
  readonly #double: OptionalWordsFiller;

  constructor(fill: OtlpFill) {
    const capacity = fill.countOf(OTLP_ROWS.numberDataPoints);
    this.#fill = fill;
    this.#points = new PointFiller(fill, capacity, OTLP_ROWS.numberDpAttrs);
    this.#exemplars = new ExemplarsFiller(fill, OTLP_ROWS.numberDpExemplars, OTLP_ROWS.numberDpExemplarAttrs);
    this.#int = new OptionalWordsFiller(capacity);
    this.#double = new OptionalWordsFiller(capacity);
  }

  /** Reads the point from the wire's position to `end`. */
  read(metric: number, end: number): void {
    const { wire } = this.#fill;
    const points = this.#points;
    const row = points.begin(metric);
    while (wire.at < end) {
      const tag = wire.tag();
      switch (tag >>> 3) {
        case NUMBER.START_TIME_UNIX_NANO:
          points.startTime.read(wire, row);
          break;
        case NUMBER.TIME_UNIX_NANO:
          points.time.read(wire, row);
          break;
        case NUMBER.AS_DOUBLE:
          this.#double.read(wire, row);
          this.#int.clear(row);
          break;
        case NUMBER.EXEMPLARS:
          this.#exemplars.read(row);
          break;
        case NUMBER.AS_INT:
          this.#int.read(wire, row);
          this.#double.clear(row);
          break;
        case NUMBER.ATTRIBUTES:
          points.attributes.read(row);
          break;
        case NUMBER.FLAGS:
          points.flags.set(row, wire.uint32());
          break;
        default:
          wire.skip(tag);
      }
    }
  }

  finish(): Pick<MetricsBatch, 'numberDataPoints' | 'numberDpAttrs' | 'numberDpExemplars' | 'numberDpExemplarAttrs'> {
    const { rowCount } = this.#points;
    const numberDpAttrs = this.#points.attributes.finish();
    const { exemplars, attributes } = this.#exemplars.finish();
    const numberDataPoints =
      rowCount === 0
        ? null
        : {
            ...this.#points.finish(numberDpAttrs !== null || exemplars !== null),
            intValue: this.#int.finishSigned(rowCount),
            doubleValue: this.#double.finishDouble(rowCount),
          };
    return { numberDataPoints, numberDpAttrs, numberDpExemplars: exemplars, numberDpExemplarAttrs: attributes };
  }
}

export class SummaryPointsFiller {
  readonly #fill: OtlpFill;
  readonly #points: PointFiller;
  readonly #count: WordsFiller;
  readonly #sum: WordsFiller;
  readonly #quantiles: ListFiller;
  readonly #quantileValues: ListFiller;

  constructor(fill: OtlpFill) {
    const capacity = fill.countOf(OTLP_ROWS.summaryDataPoints);
    const quantiles = fill.countOf(OTLP_ROWS.quantiles);
    this.#fill = fill;
    this.#points = new PointFiller(fill, capacity, OTLP_ROWS.summaryDpAttrs);
    this.#count = new WordsFiller(capacity);
    this.#sum = new WordsFiller(capacity);
    this.#quantiles = new ListFiller(capacity, quantiles);
    this.#quantileValues = new ListFiller(capacity, quantiles);
  }

  /** Reads the point from the wire's position to `end`. */
  read(metric: number, end: number): void {
    const { wire } = this.#fill;
    const points = this.#points;
    const row = points.begin(metric);
    while (wire.at < end) {
      const tag = wire.tag();
      switch (tag >>> 3) {
        case SUMMARY.START_TIME_UNIX_NANO:
          points.startTime.read(wire, row);
          break;
        case SUMMARY.TIME_UNIX_NANO:
          points.time.read(wire, row);
          break;
        case SUMMARY.COUNT:
          this.#count.read(wire, row);
          break;
        case SUMMARY.SUM:
          this.#sum.read(wire, row);
          break;
        case SUMMARY.QUANTILE_VALUES:
          this.#readQuantile(row);
          break;
        case SUMMARY.ATTRIBUTES:
          points.attributes.read(row);
          break;
        case SUMMARY.FLAGS:
          points.flags.set(row, wire.uint32());
          break;
        default:
          wire.skip(tag);
      }
    }
  }

  finish(): Pick<MetricsBatch, 'summaryDataPoints' | 'summaryDpAttrs'> {
    const { rowCount } = this.#points;
    if (rowCount === 0) return { summaryDataPoints: null, summaryDpAttrs: null };
    const summaryDpAttrs = this.#points.attributes.finish();
    const summaryDataPoints = {
      ...this.#points.finish(summaryDpAttrs !== null),
      count: this.#count.finishUnsigned(rowCount),
      sum: this.#sum.finishDouble(rowCount),
      ...this.#finishQuantiles(rowCount),
    };
    return { summaryDataPoints, summaryDpAttrs };
  }

  #readQuantile(row: number): void {
    const { wire } = this.#fill;
    const end = wire.valueEnd();
    let [quantileLow, quantileHigh, valueLow, valueHigh] = [0, 0, 0, 0];
    while (wire.at < end) {
      const tag = wire.tag();
      if (tag >>> 3 === QUANTILE.QUANTILE) {
        wire.fixed64();
        quantileLow = wire.low;
        quantileHigh = wire.high;
      } else if (tag >>> 3 === QUANTILE.VALUE) {
        wire.fixed64();
        valueLow = wire.low;
        valueHigh = wire.high;
      } else {
        wire.skip(tag);
      }
    }
    this.#quantiles.add(row, quantileLow, quantileHigh);
    this.#quantileValues.add(row, valueLow, valueHigh);
  }

  /** Both lists have the same offsets. */
  #finishQuantiles(rowCount: number): Record<'quantiles' | 'quantileValues', ListColumn<Float64Array> | null> {
    return {
      quantiles: this.#quantiles.finishDouble(rowCount),
      quantileValues: this.#quantileValues.finishDouble(rowCount),
    };
  }
}
