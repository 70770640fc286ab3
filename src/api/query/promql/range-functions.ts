import { changeFunctions } from './range-changes.ts';
import { pickFunctions } from './range-picks.ts';
import { rateFunctions } from './range-rate.ts';
import { sumFunctions } from './range-sums.ts';
import { trendFunctions } from './range-trends.ts';
import type { RangeFunction } from './windows.ts';

/** Functions of ranges by name. */
export const rangeFunctions: ReadonlyMap<string, RangeFunction> = new Map(
  Object.entries({ ...rateFunctions, ...sumFunctions, ...pickFunctions, ...trendFunctions, ...changeFunctions }),
);

/** Functions whose `anchored` and `smoothed` forms are defined. */
export const ANCHORED_FUNCTIONS: readonly string[] = ['changes', 'delta', 'increase', 'rate', 'resets'];
export const SMOOTHED_FUNCTIONS: readonly string[] = ['delta', 'increase', 'rate'];

/** Functions to which start times tell of resets. */
export const START_TIME_FUNCTIONS: ReadonlySet<string> = new Set(['rate', 'irate', 'increase', 'resets']);

/** Functions that give samples of the series themselves, so that the name stays. */
export const NAME_KEEPING_FUNCTIONS: ReadonlySet<string> = new Set(['first_over_time', 'last_over_time']);
