import { evaluate } from '../../src/api/query/promql/evaluate.ts';
import type { Evaluation, EvaluationSettings } from '../../src/api/query/promql/evaluation.ts';
import { formatFloat } from '../../src/api/query/promql/format-float.ts';
import { type FloatHistogram, histogramsOf } from '../../src/api/query/promql/histogram.ts';
import { Labels } from '../../src/api/query/promql/labels.ts';
import { FULL_SYNTAX } from '../../src/api/query/promql/parse-options.ts';
import { parseExpression } from '../../src/api/query/promql/parser.ts';
import { matcherTest } from '../../src/api/query/promql/regular-expression.ts';
import type { SampleSource, SelectedSeries, Selection } from '../../src/api/query/promql/source.ts';
import { markStale } from '../../src/api/query/promql/stale.ts';

/** A sample of a series in a test; nothing where the series has none. */
export type TestSample = number | 'stale' | FloatHistogram | undefined;

export interface TestSeries {
  readonly labels: Readonly<Record<string, string>>;
  /** One sample every `stepMs`, from `fromMs` on. */
  readonly samples: readonly TestSample[];
  readonly fromMs?: number;
  readonly stepMs?: number;
}

/** Series in memory. */
export function samplesOf(...series: TestSeries[]): SampleSource {
  const stored = series.map(columnsOf);
  return {
    select: (selection, signal) => {
      signal.throwIfAborted();
      return Promise.resolve(
        stored.filter(({ labels }) => isSelected(labels, selection)).map((one) => cut(one, selection)),
      );
    },
  };
}

export interface TestQuery {
  readonly startMs?: number;
  readonly endMs?: number;
  readonly stepMs?: number;
  readonly settings?: Partial<EvaluationSettings>;
  readonly signal?: AbortSignal;
}

/** Evaluates a text; an instant query at `startMs` unless a step is given. */
export function query(text: string, source: SampleSource, options: TestQuery = {}): Promise<Evaluation> {
  const startMs = options.startMs ?? 0;
  return evaluate(
    {
      expression: parseExpression(text, FULL_SYNTAX),
      text,
      startMs,
      endMs: options.endMs ?? startMs,
      stepMs: options.stepMs ?? 0,
      settings: {
        lookbackMs: 300_000,
        subqueryStepMs: 60_000,
        samplesMax: 1_000_000,
        delayedNameRemoval: false,
        typeAndUnitLabels: false,
        startTimestamps: false,
        ...options.settings,
      },
    },
    source,
    options.signal ?? new AbortController().signal,
  );
}

/** A result in lines: `{a="b"} 1@0 2@60` with times in seconds, in the order given. */
export function linesOf({ value }: Evaluation): string[] {
  if (value.type === 'scalar' || value.type === 'string') return [String(value.value)];
  if (value.type === 'vector')
    return value.elements.map((element) => `${text(element.labels)} ${sampleText(element.value, element.histogram)}`);
  return value.series.map(({ labels, floats, histograms }) => {
    const samples = [
      ...Array.from(floats.timesMs, (timeMs, at) => ({ timeMs, text: formatFloat(floats.values[at]!) })),
      ...Array.from(histograms.timesMs, (timeMs, at) => ({ timeMs, text: sampleText(0, histograms.values.at(at)!) })),
    ].sort((left, right) => left.timeMs - right.timeMs);
    return `${text(labels)} ${samples.map((sample) => `${sample.text}@${sample.timeMs / 1000}`).join(' ')}`;
  });
}

function text(labels: Labels): string {
  const pairs = [...labels.pairs()].filter(([name]) => name !== '__name__');
  return `${labels.get('__name__')}{${pairs.map(([name, value]) => `${name}="${value}"`).join(',')}}`;
}

function sampleText(value: number, histogram: FloatHistogram | undefined): string {
  return histogram === undefined ? formatFloat(value) : `histogram(${histogram.count},${histogram.sum})`;
}

function columnsOf({ labels, samples, fromMs = 0, stepMs = 60_000 }: TestSeries): SelectedSeries {
  const timed = samples.map((sample, at) => ({ sample, timeMs: fromMs + at * stepMs }));
  const floats = timed.filter(({ sample }) => typeof sample === 'number' || sample === 'stale');
  const histograms = timed.filter(({ sample }) => typeof sample === 'object');
  const values = Float64Array.from(floats, ({ sample }) => (sample === 'stale' ? 0 : (sample as number)));
  for (const [at, { sample }] of floats.entries()) if (sample === 'stale') markStale(values, at);
  return {
    labels: Labels.of(Object.entries(labels)),
    floats: { timesMs: Float64Array.from(floats, ({ timeMs }) => timeMs), values },
    histograms: {
      timesMs: Float64Array.from(histograms, ({ timeMs }) => timeMs),
      values: histograms.map(({ sample }) => sample as FloatHistogram),
    },
  };
}

function isSelected(labels: Labels, { matchers }: Selection): boolean {
  return matchers.every((matcher) => matcherTest(matcher)(labels.get(matcher.name)));
}

function cut({ labels, floats, histograms }: SelectedSeries, { fromMs, untilMs }: Selection): SelectedSeries {
  const bounds = ({ timesMs }: { timesMs: Float64Array }): [from: number, to: number] => [
    timesMs.findIndex((timeMs) => timeMs >= fromMs),
    timesMs.findLastIndex((timeMs) => timeMs <= untilMs) + 1,
  ];
  const [floatFrom, floatTo] = bounds(floats);
  const [from, to] = bounds(histograms);
  const hasFloats = floatFrom !== -1 && floatTo > floatFrom;
  return {
    labels,
    floats: {
      timesMs: hasFloats ? floats.timesMs.subarray(floatFrom, floatTo) : new Float64Array(0),
      values: hasFloats ? floats.values.subarray(floatFrom, floatTo) : new Float64Array(0),
    },
    histograms: {
      timesMs: from === -1 ? new Float64Array(0) : histograms.timesMs.slice(from, to),
      values: from === -1 ? [] : histogramsOf(histograms.values, from, to),
    },
  };
}
