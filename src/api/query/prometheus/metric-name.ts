import type { StoredSeries } from '../../../materialize/index.ts';
import { NAME_RULES, type TranslationStrategy } from './translation.ts';
import { escapedUnitWord, unitWords } from './unit-name.ts';

export interface NamedMetric {
  readonly name: string;
  readonly unit: string;
  /** Only these two change a name. */
  readonly kind: 'gauge' | 'monotonic-sum' | 'other';
}

/**
 * The Prometheus name of an OpenTelemetry metric, without the suffixes of parts of a histogram or summary; undefined when nothing of the name is left that
 * Prometheus allows. Source: prometheus/otlptranslator metric_namer.go.
 */
export function metricName(metric: NamedMetric, strategy: TranslationStrategy): string | undefined {
  const { escapes, addsSuffixes } = NAME_RULES[strategy];
  if (!escapes) return addsSuffixes ? suffixedName(metric) : metric.name;
  const escaped = addsSuffixes ? escapedSuffixedName(metric) : escapedName(metric.name);
  if (escaped === '') return undefined;
  return escaped !== metric.name && /^_+$/.test(escaped) ? undefined : escaped;
}

/** The Prometheus name of a stored series, without suffixes as above. */
export function storedMetricName(
  { name, unit, type, isMonotonic }: Pick<StoredSeries, 'name' | 'unit' | 'type' | 'isMonotonic'>,
  strategy: TranslationStrategy,
): string | undefined {
  const kind = type === 'gauge' ? 'gauge' : type === 'sum' && isMonotonic ? 'monotonic-sum' : 'other';
  return metricName({ name, unit, kind }, strategy);
}

/** Runs of what is not allowed become one `_`, but none at the ends. */
function escapedName(name: string): string {
  return withoutLeadingDigit(
    name
      .split(/[^a-zA-Z0-9:_]+/u)
      .filter((part) => part !== '')
      .join('_'),
  );
}

function escapedSuffixedName({ name, unit, kind }: NamedMetric): string {
  let words = name.split(/[^a-zA-Z0-9:]+/u).filter((word) => word !== '');
  const unitPart = unitWords(unit);
  words = withUnit(words, escapedUnitWord(unitPart.main), escapedUnitWord(unitPart.per));
  if (kind === 'monotonic-sum') words = [...words.filter((word) => word !== 'total'), 'total'];
  if (kind === 'gauge' && unit === '1') words = [...words.filter((word) => word !== 'ratio'), 'ratio'];
  return withoutLeadingDigit(words.join('_'));
}

/** Words that the name has already are not said again. */
function withUnit(words: readonly string[], main: string, per: string): string[] {
  const perWord = per === 'per_' ? '' : per.replace(/_$/, '');
  const perPart = words.includes(perWord) ? '' : perWord;
  const mainWord = words.includes(main) ? '' : main;
  const mainPart = perPart === '' ? mainWord : mainWord.replace(/_$/, '');
  return [...words, mainPart, perPart].filter((word) => word !== '');
}

/** Order of the parts: name, unit, per unit, `total` or `ratio`; each is moved to its place when the name ends with it already. */
function suffixedName({ name, unit, kind }: NamedMetric): string {
  const { main, per } = unitWords(unit);
  let result = name;
  const ends: string[] = [];
  if (kind === 'gauge' && unit === '1') ends.unshift('ratio');
  if (kind === 'monotonic-sum') ends.unshift('total');
  for (const end of ends) result = withoutEnd(result, end);
  if (per !== '') {
    result = withoutEnd(result, per);
    ends.unshift(per);
  }
  if (main !== '' && !result.endsWith(main)) result = `${result}_${main}`;
  return [result, ...ends].join('_');
}

function withoutEnd(name: string, end: string): string {
  return name.endsWith(end) && name.length > end.length + 1 ? name.slice(0, -(end.length + 1)) : name;
}

function withoutLeadingDigit(name: string): string {
  return /^[0-9]/.test(name) ? `_${name}` : name;
}
