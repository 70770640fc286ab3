import type { LabelMatcher } from './ast.ts';
import type { EvaluationContext } from './context.ts';
import { InfoJoin } from './info-join.ts';
import { identifyingMatchers, nameMatchers } from './info-matchers.ts';
import { uniformInfoTime } from './info-times.ts';
import type { InstantCall, InstantFunction } from './instant-function.ts';
import type { Matrix } from './matrix.ts';
import { matcherTest } from './regular-expression.ts';
import { lookAt, lookTimes } from './select.ts';
import type { SelectedSeries } from './source.ts';

/** `info`: labels of info series, found by `instance` and `job`, put onto the series of a vector. */
export const infoFunctions: Readonly<Record<string, InstantFunction>> = {
  info: { call: info, takesExpressions: true },
};

async function info({ context, expression, steps }: InstantCall): Promise<Matrix> {
  const [vector, selector] = expression.arguments;
  const time = uniformInfoTime(vector!) ?? { timestampMs: undefined, offsetMs: 0 };
  const base = await context.evaluate(context, vector!, steps);
  const matchers = selector?.kind === 'vector-selector' ? selector.matchers : [];
  const names = nameMatchers(matchers.filter((matcher) => matcher.name === '__name__'));
  const data = matchers.filter((matcher) => matcher.name !== '__name__');
  // Info series themselves are left as they are.
  const isInfo = names.map(matcherTest);
  const ignored = base.labels.map((labels) => isInfo.every((test) => test(labels.get('__name__'))));
  const series = await selectInfo(context, { base, ignored, names, data, look: lookTimes(time, steps) });
  const infos = await lookAt(context, series, { times: lookTimes(time, steps), steps, part: 'time' });
  return new InfoJoin(base, infos, { ignored, data }).result(context, steps.count);
}

/** Selects once for each combination of identifying labels that series have. */
async function selectInfo(
  context: EvaluationContext,
  wanted: {
    base: Matrix;
    ignored: readonly boolean[];
    names: readonly LabelMatcher[];
    data: readonly LabelMatcher[];
    look: ReturnType<typeof lookTimes>;
  },
): Promise<SelectedSeries[]> {
  const { base, ignored, names, data, look } = wanted;
  const found: SelectedSeries[] = [];
  for (const identifying of identifyingMatchers(base.labels.filter((_, row) => ignored[row] !== true))) {
    const series = await context.select({
      matchers: [...identifying, ...data, ...names],
      fromMs: look.firstMs - context.settings.lookbackMs + 1,
      untilMs: look.lastMs,
      withStartTimes: false,
    });
    found.push(...series);
  }
  return found;
}
