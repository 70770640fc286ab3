import type { StoredSeries } from '../../../materialize/index.ts';
import type { MetricMetadata } from './metrics-view.ts';

/** The type that Prometheus gives an OpenTelemetry metric. Deltas are added up when they are read, so they are what the sum of them is. */
export function prometheusType({
  type,
  isMonotonic,
}: Pick<StoredSeries, 'type' | 'isMonotonic'>): MetricMetadata['type'] {
  switch (type) {
    case 'gauge':
      return 'gauge';
    case 'sum':
      return isMonotonic ? 'counter' : 'gauge';
    case 'histogram':
    case 'exponential_histogram':
      return 'histogram';
    case 'summary':
    case 'unknown':
      return type;
  }
}
