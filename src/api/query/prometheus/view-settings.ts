import type { TranslationStrategy } from './translation.ts';

/** How stored metrics look to Prometheus; the settings of its OTLP receiver, but for what is read and not for what is written. */
export interface ViewSettings {
  readonly strategy: TranslationStrategy;
  /** Keys of resource attributes that every series of the resource has as labels. */
  readonly promotedResourceAttributes: readonly string[];
  /** `target_info` has service.name, service.namespace and service.instance.id, too. */
  readonly keepsIdentifyingAttributes: boolean;
  /** `otel_scope_name`, `otel_scope_version`, `otel_scope_schema_url` and attributes of the scope as labels. */
  readonly promotesScope: boolean;
  /** Classic histograms are native ones with custom buckets, and no families of `_bucket`, `_sum` and `_count`. */
  readonly convertsHistograms: boolean;
  /** Labels `__type__` and `__unit__`. */
  readonly typeAndUnitLabels: boolean;
  /** `target_info` has a sample each half of this. */
  readonly lookbackMs: number;
}
