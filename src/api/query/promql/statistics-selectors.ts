import type { Expression, VectorSelector } from './ast.ts';
import { isReset } from './histogram-reset.ts';
import { type FloatHistogram, histogramsOf, type SparseBuckets } from './histogram.ts';
import type { SelectedSeries } from './source.ts';
import { chainOf } from './tree.ts';

/**
 * Selectors of whose histograms only count and sum are asked for: those below `histogram_count` and the like, with nothing in between that needs
 * buckets. Subqueries do: which samples follow each other there is settled only later.
 */
export function statisticsSelectors(expression: Expression): Set<VectorSelector> {
  const found = new Set<VectorSelector>();
  collect(expression, 'nothing', found);
  return found;
}

/** Series without the buckets of their histograms, whose hints say instead what buckets said of resets. */
export function statisticsOf(series: SelectedSeries): SelectedSeries {
  const { values } = series.histograms;
  if (values.length === 0) return series;
  const stripped = histogramsOf(values).map((histogram, at, all) => strip(histogram, all[at - 1]));
  return { ...series, histograms: { ...series.histograms, values: stripped } };
}

const STATISTICS = new Set(['histogram_count', 'histogram_sum', 'histogram_avg']);
const NEED_BUCKETS = new Set([
  'histogram_quantile',
  'histogram_quantiles',
  'histogram_fraction',
  'histogram_stddev',
  'histogram_stdvar',
]);

/** What stands above an expression: nothing of interest, a function of count or sum, or something that needs buckets, which settles it. */
type Above = 'nothing' | 'statistics' | 'buckets';

function collect(expression: Expression, above: Above, found: Set<VectorSelector>): void {
  switch (expression.kind) {
    case 'vector-selector':
      if (above === 'statistics') found.add(expression);
      return;
    case 'matrix-selector':
      collect(expression.selector, above, found);
      return;
    case 'subquery':
      collect(expression.expression, 'buckets', found);
      return;
    case 'paren':
    case 'unary':
      collect(expression.expression, above, found);
      return;
    case 'aggregate':
      if (expression.parameter !== undefined) collect(expression.parameter, above, found);
      collect(expression.expression, above, found);
      return;
    case 'binary': {
      const { first, links } = chainOf(expression);
      let below = above;
      for (const { operator, right } of links.reverse()) {
        if (operator === '</' || operator === '>/') below = 'buckets';
        collect(right, below, found);
      }
      collect(first, below, found);
      return;
    }
    case 'call': {
      const below = belowCall(expression.func.name, above);
      for (const argument of expression.arguments) collect(argument, below, found);
      return;
    }
    case 'number':
    case 'string':
  }
}

function belowCall(name: string, above: Above): Above {
  if (above === 'buckets' || NEED_BUCKETS.has(name)) return 'buckets';
  return STATISTICS.has(name) ? 'statistics' : above;
}

function strip(histogram: FloatHistogram, before: FloatHistogram | undefined): FloatHistogram {
  let { counterReset } = histogram;
  if (counterReset === 'unknown' && before !== undefined)
    counterReset = isReset(histogram, before) ? 'reset' : 'not_reset';
  return {
    schema: histogram.schema,
    counterReset,
    zeroThreshold: 0,
    zeroCount: 0,
    count: histogram.count,
    sum: histogram.sum,
    positive: NO_BUCKETS,
    negative: NO_BUCKETS,
    customValues: NO_BOUNDS,
  };
}

const NO_BUCKETS: SparseBuckets = { indexes: new Int32Array(0), counts: new Float64Array(0) };
const NO_BOUNDS = new Float64Array(0);
