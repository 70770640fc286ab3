/** What is asked, and the metrics that are asked for. */
import type { BenchMetric } from './promql-data.ts';

const METRICS = {
  small: { name: 'bench_small_total', kind: 'counter', series: 1_000, points: 500 },
  large: { name: 'bench_large_total', kind: 'counter', series: 10_000, points: 240 },
  middle: { name: 'bench_middle_total', kind: 'counter', series: 5_000, points: 40 },
  classic: { name: 'bench_classic', kind: 'histogram', series: 200, points: 240 },
  native: { name: 'bench_native', kind: 'native', series: 500, points: 240 },
  many: { name: 'bench_many', kind: 'gauge', series: 100_000, points: 2 },
} as const satisfies Record<string, BenchMetric>;

export interface BenchCase {
  readonly name: string;
  readonly metrics: readonly BenchMetric[];
  /** Below the API's root. `endMs` is the time of the newest points. */
  readonly path: (endMs: number) => string;
  /** Median milliseconds; null: compared with Prometheus alone. */
  readonly targetMs: number | null;
}

const STEP_SECONDS = 60;

/** A range query of some steps that ends with the data. */
function range(name: string, metrics: readonly BenchMetric[], steps: number, query: string): BenchCase {
  return {
    name,
    metrics,
    path: (endMs) => {
      const end = endMs / 1000;
      const start = end - (steps - 1) * STEP_SECONDS;
      return `/query_range?query=${encodeURIComponent(query)}&start=${start}&end=${end}&step=${STEP_SECONDS}`;
    },
    targetMs: null,
  };
}

function instant(name: string, metric: BenchMetric, query: string, targetMs: number | null): BenchCase {
  return {
    name,
    metrics: [metric],
    path: (endMs) => `/query?query=${encodeURIComponent(query)}&time=${endMs / 1000}`,
    targetMs,
  };
}

const { small, large, middle, classic, native, many } = METRICS;

export const CASES: readonly BenchCase[] = [
  range('sum(rate) 500 k', [small], 121, `sum(rate(${small.name}[5m]))`),
  range('sum(rate) by 500 k', [small], 121, `sum by (route, code) (rate(${small.name}[5m]))`),
  range('sum(rate) by 2.4 M', [large], 56, `sum by (route, code) (rate(${large.name}[5m]))`),
  range('quantile classic', [classic], 56, `histogram_quantile(0.9, sum by (le) (rate(${classic.name}_bucket[5m])))`),
  range('quantile native', [native], 56, `histogram_quantile(0.9, sum(rate(${native.name}[5m])))`),
  range('topk', [small], 121, `topk(10, rate(${small.name}[5m]))`),
  range('regex', [large], 56, `sum(rate(${large.name}{route=~"/api/v1/route-[1-3].*",method!~"P.*"}[5m]))`),
  range('raw matrix', [large], 56, `${large.name}{method=~"GET|PUT"}`),
  instant('raw samples', small, `${small.name}[1h]`, null),
  {
    name: 'label values 100 k',
    metrics: [many],
    path: (endMs) => `/label/pod/values?start=${endMs / 1000 - 3600}&end=${endMs / 1000}`,
    targetMs: null,
  },
  {
    name: 'label values matched',
    metrics: [many],
    path: (endMs) => `/label/route/values?match[]=${many.name}&start=${endMs / 1000 - 3600}&end=${endMs / 1000}`,
    targetMs: null,
  },
  instant('instant 1 k', small, `sum by (route) (rate(${small.name}[5m]))`, 10),
  instant('instant 1 k vector', small, small.name, 10),
  instant('instant 5 k', middle, `sum by (route) (rate(${middle.name}[5m]))`, 50),
  instant('instant 5 k vector', middle, middle.name, 50),
];

/** Keeps the engine at reading: 1,101 steps over the largest metric. */
export function longPath(endMs: number): string {
  const end = endMs / 1000;
  return `/query_range?query=${encodeURIComponent(`sum(rate(${large.name}[5m]))`)}&start=${end - 3300}&end=${end}&step=3`;
}

export const LONG_METRIC: BenchMetric = large;
