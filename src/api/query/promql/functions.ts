import type { FunctionSignature, ValueType } from './ast.ts';

type Options = Partial<Pick<FunctionSignature, 'variadic' | 'isExperimental'>>;

const EXPERIMENTAL: Options = { isExperimental: true };
const OPTIONAL_LAST: Options = { variadic: 1 };
const ANY_NUMBER: Options = { variadic: -1 };

/** Every function of PromQL by name: what it takes and gives. Source: Prometheus 3.14, promql/parser/functions.go. */
export const FUNCTIONS: ReadonlyMap<string, FunctionSignature> = new Map(
  [
    ...functions('abs absent acos acosh asin asinh atan atanh ceil cos cosh deg exp floor', ['vector']),
    ...functions('ln log10 log2 rad sgn sin sinh sort sort_desc sqrt tan tanh timestamp', ['vector']),
    ...functions('histogram_avg histogram_count histogram_stddev histogram_stdvar histogram_sum', ['vector']),
    ...functions('start_timestamp', ['vector'], EXPERIMENTAL),
    ...functions('scalar', ['vector'], {}, 'scalar'),
    ...functions('vector', ['scalar']),

    ...functions('changes delta deriv idelta increase irate rate resets', ['matrix']),
    ...functions('absent_over_time avg_over_time count_over_time first_over_time last_over_time', ['matrix']),
    ...functions('max_over_time min_over_time present_over_time stddev_over_time stdvar_over_time', ['matrix']),
    ...functions('sum_over_time', ['matrix']),
    ...functions('mad_over_time ts_of_first_over_time ts_of_last_over_time', ['matrix'], EXPERIMENTAL),
    ...functions('ts_of_max_over_time ts_of_min_over_time', ['matrix'], EXPERIMENTAL),
    ...functions('predict_linear', ['matrix', 'scalar']),
    ...functions('quantile_over_time', ['scalar', 'matrix']),
    ...functions('double_exponential_smoothing', ['matrix', 'scalar', 'scalar'], EXPERIMENTAL),

    ...functions('clamp', ['vector', 'scalar', 'scalar']),
    ...functions('clamp_max clamp_min', ['vector', 'scalar']),
    ...functions('round', ['vector', 'scalar'], OPTIONAL_LAST),
    ...functions('histogram_fraction', ['scalar', 'scalar', 'vector']),
    ...functions('histogram_quantile', ['scalar', 'vector']),
    ...functions('histogram_quantiles', ['vector', 'string', 'scalar', 'scalar'], {
      variadic: 9,
      isExperimental: true,
    }),

    ...functions('day_of_month day_of_week day_of_year days_in_month', ['vector'], OPTIONAL_LAST),
    ...functions('hour minute month year', ['vector'], OPTIONAL_LAST),

    ...functions('info', ['vector', 'vector'], { ...OPTIONAL_LAST, isExperimental: true }),
    ...functions('label_replace', ['vector', 'string', 'string', 'string', 'string']),
    ...functions('label_join', ['vector', 'string', 'string', 'string'], ANY_NUMBER),
    ...functions('sort_by_label sort_by_label_desc', ['vector', 'string'], { ...ANY_NUMBER, isExperimental: true }),

    ...functions('pi time', [], {}, 'scalar'),
    ...functions('end range start step', [], EXPERIMENTAL, 'scalar'),
    ...functions('max_of min_of', ['scalar', 'scalar'], EXPERIMENTAL, 'scalar'),
  ].map((signature) => [signature.name, signature]),
);

function functions(
  names: string,
  argumentTypes: readonly ValueType[],
  { variadic = 0, isExperimental = false }: Options = {},
  returnType: ValueType = 'vector',
): FunctionSignature[] {
  return names.split(' ').map((name) => ({ name, argumentTypes, variadic, returnType, isExperimental }));
}
