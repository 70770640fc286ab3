/**
 * How many evaluations of each of Prometheus' scripts pass over series in memory: all of them. Numbers may only grow, as the scripts do.
 */
export const PASSES: Readonly<Record<string, number>> = {
  'aggregators.test': 160,
  'at_modifier.test': 78,
  'extended_vectors.test': 169,
  'fill-modifier.test': 46,
  'functions.test': 431,
  'literals.test': 25,
  'native_histograms.test': 522,
  'operators.test': 214,
  'selectors.test': 31,
  'start_timestamps.test': 26,
  'type_and_unit.test': 58,
};
