import type { StoredSeries } from '../../../materialize/index.ts';
import { storedMetricName } from './metric-name.ts';
import { prometheusType } from './metric-type.ts';
import type { MetadataOptions, MetricMetadata } from './metrics-view.ts';
import type { TranslationStrategy } from './translation.ts';
import { unitName } from './unit-name.ts';

/** Names and metadata of stored metrics. What series of one metric have in common is worked out once. */
export class MetricFamilies {
  readonly #strategy: TranslationStrategy;
  readonly #names = new Map<string, string | undefined>();
  /** By the name that Prometheus knows, in the order in which they came. */
  readonly #metadata = new Map<string, MetricMetadata[]>();

  constructor(strategy: TranslationStrategy) {
    this.#strategy = strategy;
  }

  /** The Prometheus name of a series, as `storedMetricName` gives it; what it says of its metric is taken in. */
  nameOf(stored: StoredSeries): string | undefined {
    const { type, isMonotonic, unit, name, description } = stored;
    const key = `${type} ${isMonotonic} ${unit.length} ${unit}${name.length} ${name}${description}`;
    if (this.#names.has(key)) return this.#names.get(key);
    const own = storedMetricName(stored, this.#strategy);
    this.#names.set(key, own);
    if (own !== undefined) this.#add(own, stored);
    return own;
  }

  /** Metadata by name, within the limits. */
  metadata({ metric, metricsMax, perMetricMax }: MetadataOptions): ReadonlyMap<string, readonly MetricMetadata[]> {
    const found = new Map<string, readonly MetricMetadata[]>();
    const one = metric === undefined ? undefined : this.#metadata.get(metric);
    const all = metric === undefined ? this.#metadata : one === undefined ? [] : [[metric, one] as const];
    if (perMetricMax < 1) return found;
    for (const [name, entries] of all) {
      if (found.size >= metricsMax) break;
      found.set(name, entries.slice(0, perMetricMax));
    }
    return found;
  }

  #add(name: string, stored: StoredSeries): void {
    const entry = { type: prometheusType(stored), unit: unitName(stored.unit, true), help: stored.description };
    const known = this.#metadata.get(name);
    if (known === undefined) this.#metadata.set(name, [entry]);
    else if (!known.some(({ type, unit, help }) => type === entry.type && unit === entry.unit && help === entry.help))
      known.push(entry);
  }
}
