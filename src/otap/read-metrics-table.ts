import type { MetricsTable } from './canonical.ts';
import { readRootColumns } from './read-root-columns.ts';
import type { TableColumns } from './table-columns.ts';

/** Payload UNIVARIATE_METRICS. */
export function readMetricsTable(table: TableColumns): MetricsTable {
  return {
    ...readRootColumns(table),
    metricType: table.u8('metric_type'),
    name: table.utf8('name'),
    description: table.utf8('description'),
    unit: table.utf8('unit'),
    aggregationTemporality: table.i32('aggregation_temporality'),
    isMonotonic: table.bool('is_monotonic'),
  };
}
