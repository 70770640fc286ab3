/** Go's `math.Pow`: 1 to any power, and -1 to an infinite one, are 1. */
export function power(base: number, exponent: number): number {
  if (base === 1) return 1;
  if (base === -1 && (exponent === Infinity || exponent === -Infinity)) return 1;
  return base ** exponent;
}

/** Go's `math.Max`: infinity wins over NaN. */
export function maximum(left: number, right: number): number {
  return left === Infinity || right === Infinity ? Infinity : Math.max(left, right);
}

/** Go's `math.Min`: minus infinity wins over NaN. */
export function minimum(left: number, right: number): number {
  return left === -Infinity || right === -Infinity ? -Infinity : Math.min(left, right);
}

/**
 * The quantile of the first `count` numbers, which are sorted meanwhile; between two numbers it is interpolated. NaN sorts first.
 * NaN without numbers or for a NaN quantile, minus infinity below 0, infinity above 1.
 */
export function quantileOf(quantile: number, numbers: Float64Array, count: number): number {
  if (count === 0 || Number.isNaN(quantile)) return NaN;
  if (quantile < 0) return -Infinity;
  if (quantile > 1) return Infinity;
  const sorted = numbers.subarray(0, count).sort();
  let nans = 0;
  while (nans < count && Number.isNaN(sorted[count - 1 - nans]!)) nans++;
  // Typed arrays sort NaN to the end.
  const at = (index: number) => (index < nans ? NaN : sorted[index - nans]!);
  const rank = quantile * (count - 1);
  const lower = Math.max(0, Math.floor(rank));
  const upper = Math.min(count - 1, lower + 1);
  const weight = rank - Math.floor(rank);
  return at(lower) * (1 - weight) + at(upper) * weight;
}
