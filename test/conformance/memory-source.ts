import { hintAfter } from '../../src/api/query/prometheus/native-columns.ts';
import type { CounterResetHint, FloatHistogram } from '../../src/api/query/promql/histogram.ts';
import type { Labels } from '../../src/api/query/promql/labels.ts';
import { matcherTest } from '../../src/api/query/promql/regular-expression.ts';
import type { SampleSource, SelectedSeries, Selection } from '../../src/api/query/promql/source.ts';
import { markStale } from '../../src/api/query/promql/stale.ts';
import { LoadedState } from './loaded-state.ts';
import type { ScriptStorage } from './run-script.ts';
import type { LoadCommand, LoadedSeries, ScriptSample } from './script.ts';
import { isStaleNumber } from './stale-number.ts';

/** Series in memory, as a script loads them. Hints of histograms are what Prometheus' storage would give back. */
export class MemorySource implements ScriptStorage {
  readonly #loaded = new LoadedState();
  #series: readonly LoadedSeries[] = [];
  readonly seesBefore = true;
  readonly source: SampleSource;

  /** `wrap` may make something else of what is selected. */
  constructor(wrap: (source: SampleSource) => SampleSource = (source) => source) {
    this.source = wrap({ select: (selection) => Promise.resolve(this.#select(selection)) });
  }

  begin(): Promise<void> {
    this.clear();
    return Promise.resolve();
  }

  load(command: LoadCommand): void {
    this.#loaded.load(command);
    this.#series = this.#loaded.series().map(({ labels, samples }) => ({ labels, samples: withHints(samples) }));
  }

  clear(): void {
    this.#loaded.clear();
    this.#series = [];
  }

  takeUnsayable(): readonly string[] {
    return [];
  }

  #select({ matchers, fromMs, untilMs, withStartTimes }: Selection): SelectedSeries[] {
    const tests = matchers.map((matcher) => ({ name: matcher.name, test: matcherTest(matcher) }));
    const selected: SelectedSeries[] = [];
    for (const { labels, samples } of this.#series) {
      if (!tests.every(({ name, test }) => test(labels.get(name)))) continue;
      const inRange = samples.filter(({ timeMs }) => timeMs >= fromMs && timeMs <= untilMs);
      if (inRange.length > 0) selected.push(columns(labels, inRange, withStartTimes));
    }
    return selected;
  }
}

function columns(labels: Labels, samples: readonly ScriptSample[], withStartTimes: boolean): SelectedSeries {
  const floats = samples.filter(({ histogram }) => histogram === undefined);
  const histograms = samples.filter(({ histogram }) => histogram !== undefined);
  const times = (of: readonly ScriptSample[]): Float64Array => Float64Array.from(of, ({ timeMs }) => timeMs);
  const startTimes = (of: readonly ScriptSample[]): Float64Array | undefined =>
    withStartTimes ? Float64Array.from(of, ({ startTimeMs }) => startTimeMs) : undefined;
  const values = new Float64Array(floats.length);
  floats.forEach(({ value }, at) => {
    values[at] = value;
    if (isStaleNumber(value)) markStale(values, at);
  });
  return {
    labels,
    floats: { timesMs: times(floats), values, startTimesMs: startTimes(floats) },
    histograms: {
      timesMs: times(histograms),
      values: histograms.map(({ histogram }) => histogram!),
      startTimesMs: startTimes(histograms),
    },
  };
}

/** Hints that a script names win over those that follow from the sample before. */
function withHints(samples: readonly ScriptSample[]): ScriptSample[] {
  let previous: FloatHistogram | undefined;
  return samples.map((sample) => {
    const { histogram } = sample;
    const before = previous;
    previous = histogram;
    if (histogram === undefined || histogram.counterReset === 'gauge') return sample;
    return { ...sample, histogram: { ...histogram, counterReset: hintBehind(before, histogram) } };
  });
}

function hintBehind(before: FloatHistogram | undefined, histogram: FloatHistogram): CounterResetHint {
  if (histogram.counterReset === 'reset') return 'reset';
  return before !== undefined && isStaleNumber(before.sum) ? 'unknown' : hintAfter(before, histogram);
}
