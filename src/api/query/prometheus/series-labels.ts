import type { StoredResource, StoredScope, StoredSeries } from '../../../materialize/index.ts';
import { Labels } from '../promql/labels.ts';
import { labelName } from './label-name.ts';
import { prometheusType } from './metric-type.ts';
import { NAME_RULES } from './translation.ts';
import { unitName } from './unit-name.ts';
import type { ViewSettings } from './view-settings.ts';

/** Attributes that `job` and `instance` are made of. */
const IDENTIFYING: ReadonlySet<string> = new Set(['service.namespace', 'service.name', 'service.instance.id']);

/** The name of a label that a metric's name takes; an attribute of this key is not one. */
const NAME = '__name__';

/**
 * Makes labels of stored attributes as Prometheus' OTLP receiver does (storage/remote/otlptranslator/prometheusremotewrite). An attribute whose key has no name left
 * is left out, where the receiver drops the sample. Labels of a resource and a scope are made once.
 */
export class SeriesLabels {
  readonly #settings: ViewSettings;
  readonly #escapes: boolean;
  readonly #promoted: ReadonlySet<string>;
  readonly #names = new Map<string, string | undefined>();
  readonly #ofResource = new WeakMap<StoredResource, ReadonlyMap<string, string>>();
  readonly #ofScope = new WeakMap<StoredScope, ReadonlyMap<string, string>>();

  constructor(settings: ViewSettings) {
    this.#settings = settings;
    this.#escapes = NAME_RULES[settings.strategy].escapes;
    this.#promoted = new Set(settings.promotedResourceAttributes);
  }

  /** All labels of a series but its name and those of a part of a histogram or summary. */
  base(series: StoredSeries): Labels {
    const labels = this.#attributes(series.attributes, () => true);
    for (const [name, value] of this.#resource(series.resource)) {
      const isIdentifier = name === 'job' || name === 'instance';
      if (isIdentifier || (labels.get(name) ?? '') === '') labels.set(name, value);
    }
    for (const [name, value] of this.#scope(series.scope)) labels.set(name, value);
    if (this.#settings.typeAndUnitLabels) {
      const type = prometheusType(series);
      if (type !== 'unknown') labels.set('__type__', type);
      if (series.unit !== '') labels.set('__unit__', unitName(series.unit, this.#escapes));
    }
    return Labels.of(labels);
  }

  /** The labels of `target_info` of a resource; undefined when it has nothing to tell or nothing to tell it of. */
  targetInfo(resource: StoredResource): Labels | undefined {
    const { job, instance } = identifiers(resource);
    if (job === '' && instance === '') return undefined;
    if (keysOf(resource.attributes).every((key) => IDENTIFYING.has(key))) return undefined;
    const labels = this.#attributes(
      resource.attributes,
      (key) => this.#settings.keepsIdentifyingAttributes || !IDENTIFYING.has(key),
    );
    if (job !== '') labels.set('job', job);
    if (instance !== '') labels.set('instance', instance);
    labels.set(NAME, 'target_info');
    return Labels.of(labels);
  }

  /** In the order of keys; where several keys become one name, their values are joined. */
  #attributes(attributes: readonly string[], isTaken: (key: string) => boolean): Map<string, string> {
    const labels = new Map<string, string>();
    const pairs = pairsOf(attributes).filter(([key]) => key !== NAME && isTaken(key));
    for (const [key, value] of pairs.sort(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0))) {
      const name = this.#name(key);
      if (name === undefined) continue;
      const before = labels.get(name) ?? '';
      labels.set(name, this.#escapes && before !== '' ? `${before};${value}` : value);
    }
    return labels;
  }

  #resource(resource: StoredResource): ReadonlyMap<string, string> {
    let labels = this.#ofResource.get(resource);
    if (labels === undefined) {
      const made = new Map<string, string>();
      for (const [key, value] of pairsOf(resource.attributes)) {
        const name = this.#promoted.has(key) ? this.#name(key) : undefined;
        if (name !== undefined) made.set(name, value);
      }
      const { job, instance } = identifiers(resource);
      if (job !== '') made.set('job', job);
      if (instance !== '') made.set('instance', instance);
      labels = made;
      this.#ofResource.set(resource, labels);
    }
    return labels;
  }

  #scope(scope: StoredScope): ReadonlyMap<string, string> {
    let labels = this.#ofScope.get(scope);
    if (labels === undefined) {
      const made = new Map<string, string>();
      if (this.#settings.promotesScope && scope.name !== '') {
        for (const [key, value] of pairsOf(scope.attributes)) {
          const name = this.#name(`otel_scope_${key}`);
          if (name !== undefined) made.set(name, value);
        }
        made.set('otel_scope_name', scope.name);
        made.set('otel_scope_version', scope.version);
        made.set('otel_scope_schema_url', scope.schemaUrl);
      }
      labels = made;
      this.#ofScope.set(scope, labels);
    }
    return labels;
  }

  #name(key: string): string | undefined {
    if (!this.#names.has(key)) this.#names.set(key, labelName(key, this.#escapes));
    return this.#names.get(key);
  }
}

function identifiers({ attributes }: StoredResource): { job: string; instance: string } {
  const values = new Map(pairsOf(attributes));
  const name = values.get('service.name') ?? '';
  const namespace = values.get('service.namespace');
  const job = name === '' || namespace === undefined ? name : `${namespace}/${name}`;
  return { job, instance: values.get('service.instance.id') ?? '' };
}

function pairsOf(attributes: readonly string[]): [key: string, value: string][] {
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < attributes.length; at += 2) pairs.push([attributes[at]!, attributes[at + 1]!]);
  return pairs;
}

function keysOf(attributes: readonly string[]): string[] {
  return pairsOf(attributes).map(([key]) => key);
}
