import type { createKeptScans } from './kept-scans.ts';
import type { createMetricScans } from './metric-scans.ts';
import type { createUnaskedScans } from './unasked-scans.ts';

/** What makes scans. */
export interface ScanMakers {
  readonly createMetricScans: typeof createMetricScans;
  readonly createUnaskedScans: typeof createUnaskedScans;
  readonly createKeptScans: typeof createKeptScans;
}

/** Loads them when they are needed: the main thread has no use for them. */
export async function loadScans(): Promise<ScanMakers> {
  const [metric, unasked, kept] = await Promise.all([
    import('./metric-scans.ts'),
    import('./unasked-scans.ts'),
    import('./kept-scans.ts'),
  ]);
  return { ...metric, ...unasked, ...kept };
}
