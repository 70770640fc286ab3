import type { StoredResource } from '../../../materialize/index.ts';
import type { LabelMatcher } from '../promql/ast.ts';
import type { Labels } from '../promql/labels.ts';
import { matcherTest } from '../promql/regular-expression.ts';
import type { SelectedSeries } from '../promql/source.ts';
import type { StoredIndex } from './stored-index.ts';

const TARGET_INFO = 'target_info';

/** A `target_info` series: its labels, and when its resource had points. */
export interface TargetInfo {
  readonly labels: Labels;
  readonly firstMs: number;
  readonly lastMs: number;
}

/** The `target_info` series that all matchers hold for and that lie in the range: one for each resource with more to tell than its identity. */
export function matchTargetInfos(
  index: StoredIndex,
  matchers: readonly LabelMatcher[],
  fromMs: number,
  untilMs: number,
): TargetInfo[] {
  const tests = matchers.map((matcher) => ({ name: matcher.name, test: matcherTest(matcher) }));
  if (!tests.every(({ name, test }) => name !== '__name__' || test(TARGET_INFO))) return [];
  const byResource = new Map<StoredResource, TargetInfo | undefined>();
  const byLabels = new Map<string, TargetInfo>();
  for (const [ordinal, { resource }] of index.stored.entries()) {
    const activity = index.activity(ordinal);
    if (activity === undefined) continue;
    const known = byResource.get(resource);
    const labels = byResource.has(resource) ? known?.labels : index.targetInfo(ordinal);
    if (labels === undefined) {
      byResource.set(resource, undefined);
      continue;
    }
    const before = known ?? byLabels.get(labels.key);
    const info = {
      labels,
      firstMs: Math.min(before?.firstMs ?? Number.POSITIVE_INFINITY, activity.firstMs),
      lastMs: Math.max(before?.lastMs ?? Number.NEGATIVE_INFINITY, activity.lastMs),
    };
    byResource.set(resource, info);
    byLabels.set(labels.key, info);
  }
  return [...byLabels.values()].filter(
    ({ labels, firstMs, lastMs }) =>
      firstMs <= untilMs && lastMs >= fromMs && tests.every(({ name, test }) => test(labels.get(name))),
  );
}

/** Its samples in the range: 1 at the first point, each `intervalMs` from there, and at the last point. */
export function targetInfoSamples(
  { labels, firstMs, lastMs }: TargetInfo,
  fromMs: number,
  untilMs: number,
  intervalMs: number,
): SelectedSeries {
  const timesMs: number[] = [];
  const skipped = Math.max(0, Math.ceil((fromMs - firstMs) / intervalMs));
  for (let timeMs = firstMs + skipped * intervalMs; timeMs < lastMs && timeMs <= untilMs; timeMs += intervalMs)
    timesMs.push(timeMs);
  if (lastMs >= fromMs && lastMs <= untilMs) timesMs.push(lastMs);
  return {
    labels,
    floats: { timesMs: Float64Array.from(timesMs), values: new Float64Array(timesMs.length).fill(1) },
    histograms: { timesMs: new Float64Array(0), values: [] },
  };
}
