import { maximum, minimum } from './float-math.ts';
import { type InstantCall, type InstantFunction, mapFloats, ofFloats } from './instant-function.ts';
import { Labels } from './labels.ts';
import { ABSENT, FLOAT, Matrix } from './matrix.ts';

/** Functions of numbers. */
export const mathFunctions: Readonly<Record<string, InstantFunction>> = {
  abs: ofFloats(Math.abs),
  ceil: ofFloats(Math.ceil),
  floor: ofFloats(Math.floor),
  exp: ofFloats(Math.exp),
  sqrt: ofFloats(Math.sqrt),
  ln: ofFloats(Math.log),
  log2: ofFloats(Math.log2),
  log10: ofFloats(Math.log10),
  sin: ofFloats(Math.sin),
  cos: ofFloats(Math.cos),
  tan: ofFloats(Math.tan),
  asin: ofFloats(Math.asin),
  acos: ofFloats(Math.acos),
  atan: ofFloats(Math.atan),
  sinh: ofFloats(Math.sinh),
  cosh: ofFloats(Math.cosh),
  tanh: ofFloats(Math.tanh),
  asinh: ofFloats(Math.asinh),
  acosh: ofFloats(Math.acosh),
  atanh: ofFloats(Math.atanh),
  rad: ofFloats((value) => (value * Math.PI) / 180),
  deg: ofFloats((value) => (value * 180) / Math.PI),
  sgn: ofFloats((value) => (value < 0 ? -1 : value > 0 ? 1 : value)),
  round: { call: round },
  clamp: { call: (call) => clamp(call, call.arguments[1]!.values, call.arguments[2]!.values) },
  clamp_min: { call: (call) => clamp(call, call.arguments[1]!.values, undefined) },
  clamp_max: { call: (call) => clamp(call, undefined, call.arguments[1]!.values) },
  pi: { call: (call) => scalar(call, () => Math.PI) },
  max_of: { call: (call) => scalar(call, (step) => maximum(scalarAt(call, 0, step), scalarAt(call, 1, step))) },
  min_of: { call: (call) => scalar(call, (step) => minimum(scalarAt(call, 0, step), scalarAt(call, 1, step))) },
  scalar: { call: (call) => Promise.resolve(onlyFloats(call)) },
  vector: { call: (call) => scalar(call, (step) => scalarAt(call, 0, step)) },
};

/** One row without labels. */
export function scalar({ steps }: InstantCall, valueAt: (step: number) => number): Promise<Matrix> {
  const values = new Float64Array(steps.count);
  for (let step = 0; step < values.length; step++) values[step] = valueAt(step);
  return Promise.resolve(Matrix.ofRow(Labels.empty, values));
}

function scalarAt(call: InstantCall, index: number, step: number): number {
  return call.arguments[index]!.values[step]!;
}

function round(call: InstantCall): Promise<Matrix> {
  const nearest = call.arguments[1]?.values;
  return mapFloats(call, (step) => {
    // Multiplying by the inverse costs fewer digits than dividing.
    const inverse = 1 / (nearest === undefined ? 1 : nearest[step]!);
    return (value) => Math.floor(value * inverse + 0.5) / inverse;
  });
}

function clamp(call: InstantCall, least?: Float64Array, most?: Float64Array): Promise<Matrix> {
  const [input] = call.arguments;
  const masked = least === undefined || most === undefined ? input! : withoutSteps(input!, least, most);
  return mapFloats({ ...call, arguments: [masked] }, (step) => {
    const low = least === undefined ? -Infinity : least[step]!;
    const high = most === undefined ? Infinity : most[step]!;
    return (value) => maximum(low, minimum(high, value));
  });
}

/** Without the steps at which nothing lies between the bounds. */
function withoutSteps(matrix: Matrix, least: Float64Array, most: Float64Array): Matrix {
  const kinds = matrix.kinds.slice();
  for (let row = 0; row < matrix.rows; row++) {
    for (let step = matrix.from[row]!; step < matrix.to[row]!; step++) {
      if (most[step]! < least[step]!) kinds[matrix.base[row]! + step] = ABSENT;
    }
  }
  return matrix.with({ kinds }).withoutEmptyRows();
}

/** The value of the only float at a step; NaN when there is none or more than one. */
function onlyFloats({ arguments: [input], steps }: InstantCall): Matrix {
  const values = new Float64Array(steps.count).fill(NaN);
  const counts = new Uint8Array(steps.count);
  const matrix = input!;
  for (let row = 0; row < matrix.rows; row++) {
    for (let step = matrix.from[row]!; step < matrix.to[row]!; step++) {
      const cell = matrix.base[row]! + step;
      if (matrix.kinds[cell] !== FLOAT) continue;
      values[step] = counts[step] === 0 ? matrix.values[cell]! : NaN;
      counts[step] = 1;
    }
  }
  return Matrix.ofRow(Labels.empty, values);
}
