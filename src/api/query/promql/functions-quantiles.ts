import { ClassicColumns } from './classic-columns.ts';
import { type ClassicGroup, findHistograms, type HistogramRows } from './classic-groups.ts';
import { formatShort } from './format-float.ts';
import { histogramFraction, histogramQuantile, type QuantileResult } from './histogram-quantile.ts';
import type { FloatHistogram } from './histogram.ts';
import { type InstantCall, type InstantFunction, stringArgument } from './instant-function.ts';
import type { Labels } from './labels.ts';
import { HISTOGRAM, type Matrix } from './matrix.ts';
import { invalidQuantile, withName } from './messages.ts';
import { joinEqualRows } from './rows.ts';
import { isInstant } from './steps.ts';

/** Quantiles and fractions of histograms, classic and native. */
export const quantileFunctions: Readonly<Record<string, InstantFunction>> = {
  histogram_quantile: {
    call: (call) => {
      const quantiles = call.arguments[0]!.values;
      warnOfQuantiles(call, quantiles, 0);
      return overHistograms(call, { input: 1, measures: [quantileAt(call, 1, quantiles)] });
    },
  },
  histogram_quantiles: { call: quantiles },
  histogram_fraction: {
    call: (call) => {
      const [lower, upper] = call.arguments;
      const measure: Measure = {
        ofClassic: (columns, step) => columns.fraction(lower!.values[step]!, upper!.values[step]!),
        ofNative: (histogram, step, labels) => {
          const result = histogramFraction(lower!.values[step]!, upper!.values[step]!, histogram);
          if (result.note !== undefined)
            inform(
              call,
              2,
              'input to histogram_fraction has NaN observations, which are excluded from all fractions',
              labels,
            );
          return result.value;
        },
        relabel: (labels) => labels,
      };
      return overHistograms(call, { input: 2, measures: [measure] });
    },
  },
};

/** What is worked out of each histogram at each step; undefined gives no result. */
interface Measure {
  readonly ofClassic: (columns: ClassicColumns, step: number, labels: Labels) => number | undefined;
  readonly ofNative: (histogram: FloatHistogram, step: number, labels: Labels) => number | undefined;
  readonly relabel: (labels: Labels) => Labels;
}

function quantiles(call: InstantCall): Promise<Matrix> {
  const label = stringArgument(call.expression, 1);
  const measures = call.arguments.slice(2).map((argument, index): Measure => {
    warnOfQuantiles(call, argument.values, index + 2);
    return quantileAt(call, 0, argument.values);
  });
  // A quantile may differ from step to step, and its label with it: one measure for each value that it takes.
  const split = measures.flatMap((measure, index) => {
    const { values } = call.arguments[index + 2]!;
    return [...new Set(values)].map(
      (quantile): Measure => ({
        ...measure,
        ofClassic: (columns, step, labels) =>
          Object.is(values[step], quantile) ? measure.ofClassic(columns, step, labels) : undefined,
        ofNative: (histogram, step, labels) =>
          Object.is(values[step], quantile) ? measure.ofNative(histogram, step, labels) : undefined,
        relabel: (labels) => labels.with(label, openMetricsFloat(quantile)),
      }),
    );
  });
  return overHistograms(call, { input: 0, measures: split });
}

/** A quantile that may differ from step to step; `input` is the index of the vector among the arguments. */
function quantileAt(call: InstantCall, input: number, values: Float64Array): Measure {
  const { annotations, settings } = call.context;
  const at = call.expression.arguments[input]!.range;
  return {
    ofClassic: (columns, step, labels) => {
      const { value, repair } = columns.quantile(values[step]!);
      if (repair !== undefined) {
        const timeMs = call.steps.startMs + step * call.steps.stepMs;
        const name = settings.delayedNameRemoval ? labels.get('__name__') : '';
        annotations.informOfRepair(name, at, { ...repair, fromMs: timeMs, untilMs: timeMs, count: 1 });
      }
      return value;
    },
    ofNative: (histogram, step, labels) => {
      const { value, note } = histogramQuantile(values[step]!, histogram);
      if (note !== undefined) inform(call, input, QUANTILE_NOTES[note], labels);
      return value;
    },
    relabel: (labels) => labels,
  };
}

const QUANTILE_NOTES: Readonly<Record<NonNullable<QuantileResult['note']>, string>> = {
  'nan-result': 'input to histogram_quantile has NaN observations, result is NaN',
  'nan-skew': 'input to histogram_quantile has NaN observations, result is skewed higher',
};

function inform(call: InstantCall, input: number, message: string, labels: Labels): void {
  const name = call.context.settings.delayedNameRemoval ? labels.get('__name__') : '';
  call.context.annotations.inform(withName(`PromQL info: ${message}`, name), call.expression.arguments[input]!.range);
}

function warnOfQuantiles(call: InstantCall, values: Float64Array, argument: number): void {
  for (const quantile of new Set(values)) {
    if (!(quantile >= 0 && quantile <= 1))
      call.context.annotations.warn(invalidQuantile(quantile), call.expression.arguments[argument]!.range);
  }
}

async function overHistograms(
  call: InstantCall,
  options: { input: number; measures: readonly Measure[] },
): Promise<Matrix> {
  const { context, steps } = call;
  const input = call.arguments[options.input]!;
  const found = findHistograms(context, input, call.expression.arguments[options.input]!.range, steps.count);
  const output = outputFor(call, input, found, options.measures);
  let row = 0;
  for (const measure of options.measures) {
    for (const { row: from, conflict } of found.native) {
      await context.turn();
      fillNative(output, row++, measure, { input, from, conflict });
    }
    for (const group of found.classic) {
      await context.turn();
      fillClassic(output, row++, measure, { input, group });
    }
  }
  // Equal labels wait for the end of the evaluation there, as upstream.
  const kept = output.withoutEmptyRows();
  return context.settings.delayedNameRemoval && isInstant(steps) ? kept : joinEqualRows(kept, steps.count);
}

/** For each measure the native histograms, then the classic ones. */
function outputFor(call: InstantCall, input: Matrix, found: HistogramRows, measures: readonly Measure[]): Matrix {
  const { context } = call;
  const own = [
    ...found.native.map(({ row }) => ({ labels: input.labels[row]!, from: input.from[row]!, to: input.to[row]! })),
    ...found.classic,
  ];
  const rows = measures.flatMap((measure) =>
    own.map(({ labels, from, to }) => ({ labels: measure.relabel(context.withoutName(labels)), from, to })),
  );
  const output = context.allocate(
    rows.map(({ labels }) => labels),
    Int32Array.from(rows, ({ from }) => from),
    Int32Array.from(rows, ({ to }) => to),
  );
  output.dropName.fill(1);
  return output;
}

function fillNative(
  output: Matrix,
  row: number,
  measure: Measure,
  source: { input: Matrix; from: number; conflict: ClassicGroup | undefined },
): void {
  const { input, from, conflict } = source;
  for (let step = input.from[from]!; step < input.to[from]!; step++) {
    if (input.kindAt(from, step) !== HISTOGRAM || conflict?.conflicts?.[step] === 1) continue;
    const histogram = input.histogram(input.base[from]! + step);
    const value = measure.ofNative(histogram, step, input.labels[from]!);
    if (value !== undefined) output.setFloat(output.base[row]! + step, value);
  }
}

function fillClassic(
  output: Matrix,
  row: number,
  measure: Measure,
  { input, group }: { input: Matrix; group: ClassicGroup },
): void {
  const columns = new ClassicColumns(input, group);
  const base = output.base[row]!;
  for (let step = group.from; step < group.to; step++) {
    if (!columns.gather(step)) continue;
    const value = measure.ofClassic(columns, step, group.labels);
    if (value !== undefined) output.setFloat(base + step, value);
  }
}

/** A quantile as a label has it: with a point or an exponent. */
function openMetricsFloat(value: number): string {
  const text = formatShort(value);
  return !Number.isFinite(value) || /[e.]/.test(text) ? text : `${text}.0`;
}
