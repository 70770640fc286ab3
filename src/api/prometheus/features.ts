/** What users choose of how metrics look and which PromQL is understood, as settings; and those settings by the names of features. */
import type { HISTOGRAM_FORMS, PrometheusFeature, TRANSLATION_STRATEGIES } from '../../base/index.ts';
import { STABLE_SYNTAX } from '../query/promql/parse-options.ts';
import type { PrometheusSettings } from './types.ts';

/** What users may choose. */
export interface PrometheusOptions {
  readonly strategy: (typeof TRANSLATION_STRATEGIES)[number];
  readonly promotedResourceAttributes: readonly string[];
  readonly histograms: (typeof HISTOGRAM_FORMS)[number];
  readonly lookbackMs: number;
  readonly samplesMax: number;
  readonly queryTimeoutMs: number;
  readonly features: readonly PrometheusFeature[];
}

/** The settings that come of that. */
export function prometheusSettings(options: PrometheusOptions): PrometheusSettings {
  const has = (name: PrometheusFeature): boolean => options.features.includes(name);
  return {
    view: {
      strategy: options.strategy,
      promotedResourceAttributes: options.promotedResourceAttributes,
      keepsIdentifyingAttributes: true,
      promotesScope: true,
      convertsHistograms: options.histograms === 'native',
      typeAndUnitLabels: has('type-and-unit-labels'),
      lookbackMs: options.lookbackMs,
    },
    evaluation: {
      // Upstream's interval of rules, which is the step of a subquery that names none.
      subqueryStepMs: 60_000,
      samplesMax: options.samplesMax,
      delayedNameRemoval: has('promql-delayed-name-removal'),
      startTimestamps: has('use-start-timestamps'),
    },
    syntax: {
      ...STABLE_SYNTAX,
      experimentalFunctions: has('promql-experimental-functions'),
      // On in upstream's servers, though its parser has a switch.
      durationExpressions: true,
      extendedRangeSelectors: has('promql-extended-range-selectors'),
      binopFillModifiers: has('promql-binop-fill-modifiers'),
    },
    queryTimeoutMs: options.queryTimeoutMs,
  };
}

/** Names of the features that are on. */
export function featuresOn(settings: PrometheusSettings): readonly string[] {
  return Object.entries(FEATURES)
    .filter(([, isOn]) => isOn(settings))
    .map(([name]) => name);
}

const FEATURES: Readonly<Record<PrometheusFeature, (settings: PrometheusSettings) => boolean>> = {
  'promql-experimental-functions': ({ syntax }) => syntax.experimentalFunctions,
  'promql-extended-range-selectors': ({ syntax }) => syntax.extendedRangeSelectors,
  'promql-binop-fill-modifiers': ({ syntax }) => syntax.binopFillModifiers,
  'promql-delayed-name-removal': ({ evaluation }) => evaluation.delayedNameRemoval,
  'type-and-unit-labels': ({ view }) => view.typeAndUnitLabels,
  'use-start-timestamps': ({ evaluation }) => evaluation.startTimestamps,
};
