/** Annotations that several files give, in upstream's words (util/annotations). Names and operators are put in; positions come later. */
import { formatShort } from './format-float.ts';

export function withName(message: string, metricName: string): string {
  return metricName === '' ? message : `${message} for metric name ${quoted(metricName)}`;
}

/** As Go's `%q` has it, for the characters that names and labels hold in practice. */
export function quoted(text: string): string {
  return JSON.stringify(text);
}

export function mixedSamples(metricName: string): string {
  return `PromQL warning: encountered a mix of histograms and floats for metric name ${quoted(metricName)}`;
}

export const MIXED_IN_AGGREGATION = 'PromQL warning: encountered a mix of histograms and floats for aggregation';

export function mixedSchemas(metricName: string): string {
  return `PromQL warning: vector contains a mix of histograms with exponential and custom buckets schemas for metric name ${quoted(metricName)}`;
}

export function notCounter(metricName: string): string {
  return `PromQL warning: this native histogram metric is not a counter: ${quoted(metricName)}`;
}

export function notGauge(metricName: string): string {
  return `PromQL warning: this native histogram metric is not a gauge: ${quoted(metricName)}`;
}

export type HistogramOperation = 'addition' | 'subtraction' | 'aggregation';

export function boundsReconciled(operation: HistogramOperation): string {
  return `PromQL info: mismatched custom buckets were reconciled during ${operation}`;
}

export function resetCollision(operation: HistogramOperation): string {
  return `PromQL warning: conflicting counter resets during histogram ${operation}`;
}

export function histogramsIgnoredInRange(metricName: string): string {
  return `PromQL info: ignored histograms in a range containing both floats and histograms for metric name ${quoted(metricName)}`;
}

export function histogramIgnored(aggregation: string): string {
  return `PromQL info: ignored histogram in ${aggregation} aggregation`;
}

export function invalidQuantile(quantile: number): string {
  return `PromQL warning: quantile value should be between 0 and 1, got ${formatShort(quantile)}`;
}

export function incompatibleTypes(left: string, operator: string, right: string): string {
  return `PromQL info: incompatible sample types encountered for binary operator ${quoted(operator)}: ${left} ${operator} ${right}`;
}
