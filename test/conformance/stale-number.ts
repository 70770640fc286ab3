import { StaleMarks } from '../../src/api/query/promql/stale.ts';

/** Whether a number is the marker of the end of a series. */
export function isStaleNumber(value: number): boolean {
  return new StaleMarks(Float64Array.of(value)).at(0);
}
