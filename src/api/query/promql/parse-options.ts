/** Which parts of PromQL that upstream calls experimental are understood: the switches of its parser. */
export interface ParseOptions {
  /** Functions and aggregators marked so: `info`, `limitk`, `step()`... */
  readonly experimentalFunctions: boolean;
  /** Arithmetic in ranges, steps and offsets. */
  readonly durationExpressions: boolean;
  /** `anchored` and `smoothed`. */
  readonly extendedRangeSelectors: boolean;
  /** `fill`, `fill_left` and `fill_right`. */
  readonly binopFillModifiers: boolean;
}

/** What Prometheus understands without a switch. */
export const STABLE_SYNTAX: ParseOptions = {
  experimentalFunctions: false,
  durationExpressions: false,
  extendedRangeSelectors: false,
  binopFillModifiers: false,
};

/** Everything. */
export const FULL_SYNTAX: ParseOptions = {
  experimentalFunctions: true,
  durationExpressions: true,
  extendedRangeSelectors: true,
  binopFillModifiers: true,
};
