/** What `duckdb-thread.ts` can be at when it is to end. */
export const THREAD_STATES = [
  'it does nothing',
  'a query runs',
  'short queries run',
  'JavaScript does not end',
  'a query runs and JavaScript does not end',
  'an answered query and JavaScript that does not end',
  'it exits',
] as const;

export type ThreadState = (typeof THREAD_STATES)[number];
