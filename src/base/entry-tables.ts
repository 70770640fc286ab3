/** Tables of schema `main` whose rows come from one row of an entry each: they carry `entry_offset` and `row`. */
export const ENTRY_TABLES = [
  'logs',
  'spans',
  'samples',
  'histograms',
  'exp_histograms',
  'summaries',
  'exemplars',
] as const;
export type EntryTable = (typeof ENTRY_TABLES)[number];
