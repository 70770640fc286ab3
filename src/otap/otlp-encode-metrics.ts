import { METRIC_TYPES, type MetricsBatch, type MetricsTable } from './canonical.ts';
import { idAt } from './child-rows.ts';
import { type ChildEncoder, countOrphans } from './otlp-encode-children.ts';
import { putEnum, putText, putUint32, tagOf, TextSource } from './otlp-encode-fields.ts';
import { putGroups } from './otlp-encode-groups.ts';
import { expHistogramPointsEncoder, histogramPointsEncoder } from './otlp-encode-histogram-points.ts';
import { numberPointsEncoder, type PointsEncoder, summaryPointsEncoder } from './otlp-encode-points.ts';
import { AttributesEncoder } from './otlp-encode-values.ts';
import type { BackwardOutput } from './protobuf-backward-output.ts';

const FIELD = {
  NAME: tagOf(1, 'BYTES'),
  DESCRIPTION: tagOf(2, 'BYTES'),
  UNIT: tagOf(3, 'BYTES'),
  GAUGE: tagOf(5, 'BYTES'),
  SUM: tagOf(7, 'BYTES'),
  HISTOGRAM: tagOf(9, 'BYTES'),
  EXP_HISTOGRAM: tagOf(10, 'BYTES'),
  SUMMARY: tagOf(11, 'BYTES'),
  METADATA: tagOf(12, 'BYTES'),
} as const;
const DATA = {
  POINTS: tagOf(1, 'BYTES'),
  AGGREGATION_TEMPORALITY: tagOf(2, 'VARINT'),
  IS_MONOTONIC: tagOf(3, 'VARINT'),
} as const;

/** Writes an ExportMetricsServiceRequest. Returns the number of rows without a parent. */
export function putOtlpMetrics(output: BackwardOutput, batch: MetricsBatch): number {
  const { metrics } = batch;
  const metadata = AttributesEncoder.of(output, batch.metricAttrs);
  const points: Points = {
    numbers: numberPointsEncoder(output, batch),
    histograms: histogramPointsEncoder(output, batch),
    expHistograms: expHistogramPointsEncoder(output, batch),
    summaries: summaryPointsEncoder(output, batch),
  };
  const putData = dataEncoder(output, metrics, points);
  const name = TextSource.of(metrics.name);
  const description = TextSource.of(metrics.description);
  const unit = TextSource.of(metrics.unit);
  const orphans = putGroups(output, batch, metrics, (row) => {
    metadata?.put(FIELD.METADATA, idAt(metrics.id, row));
    putData(row);
    putText(output, FIELD.UNIT, unit, row);
    putText(output, FIELD.DESCRIPTION, description, row);
    putText(output, FIELD.NAME, name, row);
  });
  const tables = Object.values(points).flatMap((encoder) => encoder.all);
  return orphans + countOrphans(metadata, ...tables);
}

/** By the type of the metric that has them. */
interface Points {
  readonly numbers: PointsEncoder;
  readonly histograms: PointsEncoder;
  readonly expHistograms: PointsEncoder;
  readonly summaries: PointsEncoder;
}

/** What a metric of each type is: its message also without points, no message for an empty metric. */
function dataEncoder(output: BackwardOutput, metrics: MetricsTable, points: Points): (row: number) => void {
  function putPoints(encoder: ChildEncoder | null, row: number, tag: number, before: number): void {
    encoder?.put(DATA.POINTS, idAt(metrics.id, row));
    output.close(before, tag);
  }

  return (row) => {
    const before = output.length;
    switch (metrics.metricType?.values[row]) {
      case METRIC_TYPES.GAUGE:
        putPoints(points.numbers.points, row, FIELD.GAUGE, before);
        return;
      case METRIC_TYPES.SUM:
        putUint32(output, DATA.IS_MONOTONIC, metrics.isMonotonic, row);
        putEnum(output, DATA.AGGREGATION_TEMPORALITY, metrics.aggregationTemporality, row);
        putPoints(points.numbers.points, row, FIELD.SUM, before);
        return;
      case METRIC_TYPES.HISTOGRAM:
        putEnum(output, DATA.AGGREGATION_TEMPORALITY, metrics.aggregationTemporality, row);
        putPoints(points.histograms.points, row, FIELD.HISTOGRAM, before);
        return;
      case METRIC_TYPES.EXP_HISTOGRAM:
        putEnum(output, DATA.AGGREGATION_TEMPORALITY, metrics.aggregationTemporality, row);
        putPoints(points.expHistograms.points, row, FIELD.EXP_HISTOGRAM, before);
        return;
      case METRIC_TYPES.SUMMARY:
        putPoints(points.summaries.points, row, FIELD.SUMMARY, before);
        return;
      default:
    }
  };
}
