import type { StoredSeries } from '../../../materialize/index.ts';
import { storedMetricName } from './metric-name.ts';
import { prometheusType } from './metric-type.ts';
import type { MetadataOptions, MetricMetadata } from './metrics-view.ts';
import type { TranslationStrategy } from './translation.ts';
import { unitName } from './unit-name.ts';

/** Names and metadata of stored metrics. What series of one metric have in common is worked out once. */
export class MetricFamilies {
  readonly #strategy: TranslationStrategy;
  readonly #families = new Map<string, MetricFamily>();
  /** By the name that Prometheus knows, in the order in which they came. */
  readonly #metadata = new Map<string, FamilyMetadata[]>();

  constructor(strategy: TranslationStrategy) {
    this.#strategy = strategy;
  }

  /** What a series belongs to, named as `storedMetricName` has it; what it says of its metric is taken in. */
  of(stored: StoredSeries): MetricFamily {
    const { type, isMonotonic, unit, name, description } = stored;
    const key = `${type} ${isMonotonic} ${unit.length} ${unit}${name.length} ${name}${description}`;
    let family = this.#families.get(key);
    if (family === undefined) {
      family = { number: this.#families.size, name: storedMetricName(stored, this.#strategy) };
      this.#families.set(key, family);
      if (family.name !== undefined) this.#add(family.name, stored, family.number);
    }
    return family;
  }

  /** Metadata by name, within the limits, of families that have points. */
  metadata(
    { metric, metricsMax, perMetricMax }: MetadataOptions,
    hasPoints: (family: number) => boolean,
  ): ReadonlyMap<string, readonly MetricMetadata[]> {
    const found = new Map<string, readonly MetricMetadata[]>();
    const one = metric === undefined ? undefined : this.#metadata.get(metric);
    const all = metric === undefined ? this.#metadata : one === undefined ? [] : [[metric, one] as const];
    if (perMetricMax < 1) return found;
    for (const [name, entries] of all) {
      if (found.size >= metricsMax) break;
      const told = entries.filter(({ families }) => families.some(hasPoints)).map(({ metadata }) => metadata);
      if (told.length > 0) found.set(name, told.slice(0, perMetricMax));
    }
    return found;
  }

  #add(name: string, stored: StoredSeries, family: number): void {
    const metadata = { type: prometheusType(stored), unit: unitName(stored.unit, true), help: stored.description };
    const entries = this.#metadata.get(name) ?? [];
    this.#metadata.set(name, entries);
    const known = entries.find(({ metadata: { type, unit, help } }) => {
      return type === metadata.type && unit === metadata.unit && help === metadata.help;
    });
    if (known === undefined) entries.push({ metadata, families: [family] });
    else known.families.push(family);
  }
}

/** Series that have all in common that is told of their metric. */
export interface MetricFamily {
  /** From 0 on, in the order in which they came. */
  readonly number: number;
  /** The Prometheus name; undefined when there is none. */
  readonly name: string | undefined;
}

interface FamilyMetadata {
  readonly metadata: MetricMetadata;
  /** All that tell this. */
  readonly families: number[];
}
