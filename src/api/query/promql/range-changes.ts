import type { FloatHistogram } from './histogram.ts';
import { areCompatible } from './histogram-bounds.ts';
import { addHistograms, areEqualHistograms, divideHistogram } from './histogram-math.ts';
import { isReset } from './histogram-reset.ts';
import { boundsReconciled, mixedSamples, mixedSchemas, notCounter, notGauge } from './messages.ts';
import { isStartTimeReset } from './start-times.ts';
import type { RangeFunction, Window } from './windows.ts';

/** Functions that look from one sample to the next. */
export const changeFunctions: Readonly<Record<string, RangeFunction>> = {
  irate: { apply: (window) => giveLastChange(window, true) },
  idelta: { apply: (window) => giveLastChange(window, false) },
  changes: { apply: (window) => (isPlain(window) ? window.give(countChanges(window)) : giveCount(window, isChanged)) },
  resets: { apply: (window) => (isPlain(window) ? window.give(countFalls(window)) : giveCount(window, isResetSample)) },
};

interface Sample {
  timeMs: number;
  startTimeMs: number;
  value: number;
  histogram: FloatHistogram | undefined;
}

/** Floats alone, and no start times: the usual case, for which plain loops do. */
function isPlain(window: Window): boolean {
  return window.histogramCount === 0 && window.startTimesMs === undefined && !window.isAnchored;
}

function countChanges({ values, lo, hi }: Window): number {
  let changes = 0;
  for (let at = lo + 1; at < hi; at++) {
    const value = values[at]!;
    const before = values[at - 1]!;
    if (value !== before && !(Number.isNaN(value) && Number.isNaN(before))) changes++;
  }
  return changes;
}

function countFalls({ values, lo, hi }: Window): number {
  let falls = 0;
  for (let at = lo + 1; at < hi; at++) if (values[at]! < values[at - 1]!) falls++;
  return falls;
}

/** Counts the samples that differ in some way from the one before; an anchored range begins with the last sample before it. */
function giveCount(window: Window, differs: (sample: Sample, before: Sample) => boolean): void {
  const anchor = window.isAnchored ? anchorOf(window) : { lo: window.lo, histogramLo: window.histogramLo };
  if (anchor === undefined) return;
  let count = 0;
  let before: Sample | undefined;
  for (const sample of samplesFrom(window, anchor.lo, anchor.histogramLo)) {
    if (before !== undefined && differs(sample, before)) count++;
    before = sample;
  }
  window.give(count);
}

/** Where an anchored window begins: at the last sample before the range, of whichever kind. Undefined without a sample in the range. */
function anchorOf(window: Window): { lo: number; histogramLo: number } | undefined {
  const { timesMs, histogramTimesMs, fromMs } = window;
  let { lo, histogramLo } = window;
  while (lo < window.hi && timesMs[lo]! <= fromMs) lo++;
  while (histogramLo < window.histogramHi && histogramTimesMs[histogramLo]! <= fromMs) histogramLo++;
  if (lo === window.hi && histogramLo === window.histogramHi) return undefined;
  const floatMs = lo > window.lo ? timesMs[lo - 1]! : -Infinity;
  const histogramMs = histogramLo > window.histogramLo ? histogramTimesMs[histogramLo - 1]! : -Infinity;
  if (floatMs === -Infinity && histogramMs === -Infinity) return { lo, histogramLo };
  return floatMs >= histogramMs ? { lo: lo - 1, histogramLo } : { lo, histogramLo: histogramLo - 1 };
}

/** Floats and histograms of a window in the order of their times. */
function* samplesFrom(window: Window, lo: number, histogramLo: number): Generator<Sample> {
  let floatAt = lo;
  let histogramAt = histogramLo;
  while (floatAt < window.hi || histogramAt < window.histogramHi) {
    const isFloat =
      histogramAt >= window.histogramHi ||
      (floatAt < window.hi && window.timesMs[floatAt]! < window.histogramTimesMs[histogramAt]!);
    yield isFloat ? floatSample(window, floatAt++) : histogramSample(window, histogramAt++);
  }
}

function floatSample(window: Window, at: number): Sample {
  return {
    timeMs: window.timesMs[at]!,
    startTimeMs: window.startTimesMs?.[at] ?? 0,
    value: window.values[at]!,
    histogram: undefined,
  };
}

function histogramSample(window: Window, at: number): Sample {
  return {
    timeMs: window.histogramTimesMs[at]!,
    startTimeMs: window.histogramStartTimesMs?.[at] ?? 0,
    value: 0,
    histogram: window.histograms.at(at)!,
  };
}

function isChanged(sample: Sample, before: Sample): boolean {
  if (sample.histogram !== undefined && before.histogram !== undefined)
    return !areEqualHistograms(sample.histogram, before.histogram);
  if (sample.histogram !== before.histogram) return true;
  return sample.value !== before.value && !(Number.isNaN(sample.value) && Number.isNaN(before.value));
}

function isResetSample(sample: Sample, before: Sample): boolean {
  const isStart = isStartTimeReset(before.startTimeMs, before.timeMs, sample.startTimeMs, sample.timeMs);
  if (sample.histogram !== undefined && before.histogram !== undefined)
    return isStart || isReset(sample.histogram, before.histogram);
  if (sample.histogram !== before.histogram) return true;
  return sample.value < before.value || isStart;
}

/** Between the last two samples. */
function giveLastChange(window: Window, isRate: boolean): void {
  const pair = lastPair(window);
  if (pair === undefined) return;
  const [before, last] = pair;
  const seconds = (last.timeMs - before.timeMs) / 1000;
  if (seconds === 0) return;
  if (last.histogram !== undefined && before.histogram !== undefined) {
    giveHistogramChange(window, pair, isRate ? seconds : undefined);
    return;
  }
  if (last.histogram !== before.histogram) {
    window.warn(mixedSamples(window.metricName));
    return;
  }
  const isFall =
    isRate &&
    (last.value < before.value || isStartTimeReset(before.startTimeMs, before.timeMs, last.startTimeMs, last.timeMs));
  const change = isFall ? last.value : last.value - before.value;
  window.give(isRate ? change / seconds : change);
}

function lastPair(window: Window): [before: Sample, last: Sample] | undefined {
  const samples: Sample[] = [];
  for (let at = Math.max(window.lo, window.hi - 2); at < window.hi; at++) samples.push(floatSample(window, at));
  for (let at = Math.max(window.histogramLo, window.histogramHi - 2); at < window.histogramHi; at++)
    samples.push(histogramSample(window, at));
  if (samples.length < 2) return undefined;
  samples.sort((left, right) => left.timeMs - right.timeMs);
  return [samples.at(-2)!, samples.at(-1)!];
}

function giveHistogramChange(window: Window, [before, last]: [Sample, Sample], seconds: number | undefined): void {
  const isRate = seconds !== undefined;
  const from = before.histogram!;
  const to = last.histogram!;
  const areGauges = [from, to].map((histogram) => histogram.counterReset === 'gauge');
  if (isRate && areGauges.includes(true)) window.warn(notCounter(window.metricName));
  if (!isRate && areGauges.includes(false)) window.warn(notGauge(window.metricName));
  const hasReset =
    isRate && (isStartTimeReset(before.startTimeMs, before.timeMs, last.startTimeMs, last.timeMs) || isReset(to, from));
  let change = to;
  if (!hasReset) {
    if (!areCompatible(to, from)) {
      window.warn(mixedSchemas(window.metricName));
      return;
    }
    const difference = addHistograms(to, from, -1);
    if (difference.boundsReconciled) window.inform(boundsReconciled('subtraction'));
    change = difference.histogram;
  }
  change = { ...change, counterReset: 'gauge' };
  window.giveHistogram(isRate ? divideHistogram(change, seconds) : change);
}
