import { METRIC_TYPES, type MetricsBatch } from './canonical.ts';
import { AttributesFiller } from './otlp-attributes.ts';
import { U32Filler, U8Filler } from './otlp-columns.ts';
import type { OtlpFill } from './otlp-fill.ts';
import { ExpHistogramPointsFiller, HistogramPointsFiller } from './otlp-histogram-points.ts';
import { OTLP_ROWS } from './otlp-messages.ts';
import { NumberPointsFiller, SummaryPointsFiller } from './otlp-points.ts';
import { RootFiller, type RootRows } from './otlp-root-columns.ts';
import { StringFiller } from './otlp-strings.ts';

/** The rows of an ExportMetricsServiceRequest. */
export function readOtlpMetrics(fill: OtlpFill): MetricsBatch {
  const metrics = new MetricsFiller(fill);
  const root = new RootFiller(fill, OTLP_ROWS.metrics, metrics);
  root.readRequest();
  const metricAttrs = metrics.attributes.finish();
  const points = {
    ...metrics.numbers.finish(),
    ...metrics.histograms.finish(),
    ...metrics.expHistograms.finish(),
    ...metrics.summaries.finish(),
  };
  const hasPoints =
    points.numberDataPoints !== null ||
    points.histogramDataPoints !== null ||
    points.expHistogramDataPoints !== null ||
    points.summaryDataPoints !== null;
  const table = { ...root.finishColumns(hasPoints || metricAttrs !== null), ...metrics.finish() };
  return { signal: 'metrics', metrics: table, metricAttrs, ...points, ...root.finishFacts() };
}

const FIELD = {
  NAME: 1,
  DESCRIPTION: 2,
  UNIT: 3,
  GAUGE: 5,
  SUM: 7,
  HISTOGRAM: 9,
  EXP_HISTOGRAM: 10,
  SUMMARY: 11,
  METADATA: 12,
} as const;
const NO_DATA = 0;
const DATA = { POINTS: 1, AGGREGATION_TEMPORALITY: 2, IS_MONOTONIC: 3 } as const;

/** Metric types by the field of their data. */
const TYPE_OF = new Uint8Array(FIELD.METADATA);
TYPE_OF[FIELD.GAUGE] = METRIC_TYPES.GAUGE;
TYPE_OF[FIELD.SUM] = METRIC_TYPES.SUM;
TYPE_OF[FIELD.HISTOGRAM] = METRIC_TYPES.HISTOGRAM;
TYPE_OF[FIELD.EXP_HISTOGRAM] = METRIC_TYPES.EXP_HISTOGRAM;
TYPE_OF[FIELD.SUMMARY] = METRIC_TYPES.SUMMARY;

class MetricsFiller implements RootRows {
  readonly attributes: AttributesFiller;
  readonly numbers: NumberPointsFiller;
  readonly histograms: HistogramPointsFiller;
  readonly expHistograms: ExpHistogramPointsFiller;
  readonly summaries: SummaryPointsFiller;
  readonly #fill: OtlpFill;
  readonly #type: U8Filler;
  readonly #name: StringFiller;
  readonly #description: StringFiller;
  readonly #unit: StringFiller;
  readonly #temporality: U32Filler;
  readonly #isMonotonic: U8Filler;
  #rowCount = 0;

  constructor(fill: OtlpFill) {
    const capacity = fill.countOf(OTLP_ROWS.metrics);
    const { bytes } = fill.wire;
    this.#fill = fill;
    this.attributes = new AttributesFiller(fill, OTLP_ROWS.metricAttrs);
    this.numbers = new NumberPointsFiller(fill);
    this.histograms = new HistogramPointsFiller(fill);
    this.expHistograms = new ExpHistogramPointsFiller(fill);
    this.summaries = new SummaryPointsFiller(fill);
    this.#type = new U8Filler(capacity);
    this.#name = new StringFiller(bytes, capacity);
    this.#description = new StringFiller(bytes, capacity);
    this.#unit = new StringFiller(bytes, capacity);
    this.#temporality = new U32Filler(capacity);
    this.#isMonotonic = new U8Filler(capacity);
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  read(end: number): void {
    const { wire } = this.#fill;
    const row = this.#rowCount++;
    let data = NO_DATA;
    let dataAt = 0;
    while (wire.at < end) {
      const fieldAt = wire.at;
      const tag = wire.tag();
      const field = tag >>> 3;
      switch (field) {
        case FIELD.NAME:
          this.#name.read(wire, row);
          break;
        case FIELD.DESCRIPTION:
          this.#description.read(wire, row);
          break;
        case FIELD.UNIT:
          this.#unit.read(wire, row);
          break;
        case FIELD.GAUGE:
        case FIELD.SUM:
        case FIELD.HISTOGRAM:
        case FIELD.EXP_HISTOGRAM:
        case FIELD.SUMMARY:
          // Data of another kind replaces what came before, data of the same kind is added to it.
          if (field !== data) dataAt = fieldAt;
          data = field;
          wire.skip(tag);
          break;
        case FIELD.METADATA:
          this.attributes.read(row);
          break;
        default:
          wire.skip(tag);
      }
    }
    if (data !== NO_DATA) this.#readData(row, data, dataAt, end);
  }

  finish() {
    const rows = this.#rowCount;
    const { repairs } = this.#fill;
    return {
      metricType: this.#type.finish(rows),
      name: this.#name.finishText(rows, repairs),
      description: this.#description.finishText(rows, repairs),
      unit: this.#unit.finishText(rows, repairs),
      aggregationTemporality: this.#temporality.finishSigned(rows),
      isMonotonic: this.#isMonotonic.finish(rows),
    };
  }

  /** Reads the occurrences of field `data` from `start` on: pieces of one message. */
  #readData(row: number, data: number, start: number, end: number): void {
    const { wire } = this.#fill;
    this.#type.set(row, TYPE_OF[data]!);
    wire.at = start;
    while (wire.at < end) {
      const dataTag = wire.tag();
      if (dataTag >>> 3 !== data) {
        wire.skip(dataTag);
        continue;
      }
      const dataEnd = wire.valueEnd();
      while (wire.at < dataEnd) {
        const tag = wire.tag();
        const field = tag >>> 3;
        if (field === DATA.POINTS) {
          this.#readPoint(row, data);
        } else if (field === DATA.AGGREGATION_TEMPORALITY && data !== FIELD.GAUGE && data !== FIELD.SUMMARY) {
          this.#temporality.set(row, wire.uint32());
        } else if (field === DATA.IS_MONOTONIC && data === FIELD.SUM) {
          this.#isMonotonic.set(row, wire.bool() ? 1 : 0);
        } else {
          wire.skip(tag);
        }
      }
    }
  }

  #readPoint(row: number, data: number): void {
    const { wire } = this.#fill;
    const end = wire.valueEnd();
    if (this.#fill.isRejected(wire.at)) wire.at = end;
    else if (data === FIELD.HISTOGRAM) this.histograms.read(row, end);
    else if (data === FIELD.EXP_HISTOGRAM) this.expHistograms.read(row, end);
    else if (data === FIELD.SUMMARY) this.summaries.read(row, end);
    else this.numbers.read(row, end);
  }
}
