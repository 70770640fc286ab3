/**
 * Summation that keeps the rounding errors aside (Kahan's, with Neumaier's improvement), as upstream sums: `sum` and `compensation` belong together, and
 * their own sum is the result.
 */
export class CompensatedSum {
  sum: number;
  compensation: number;

  constructor(sum = 0, compensation = 0) {
    this.sum = sum;
    this.compensation = compensation;
  }

  add(value: number): void {
    const total = this.sum + value;
    this.compensation = compensationOf(this.sum, value, total, this.compensation);
    this.sum = total;
  }

  get total(): number {
    return this.sum + this.compensation;
  }
}

/** The compensation after `value` was added to `sum`, giving `total`; an infinite total has none. */
export function compensationOf(sum: number, value: number, total: number, compensation: number): number {
  if (total === Number.POSITIVE_INFINITY || total === Number.NEGATIVE_INFINITY) return 0;
  return Math.abs(sum) >= Math.abs(value) ? compensation + (sum - total + value) : compensation + (value - total + sum);
}
