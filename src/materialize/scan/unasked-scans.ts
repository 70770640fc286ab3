import type { TableChangesSeen } from '../table-changes.ts';
import type { MetricScans } from './types.ts';

/**
 * Scans that ask for changes only when there are some: `see` tells what happened to the tables until now. Nothing is left unasked while `mayLeave` is false: answers
 * say more than their rows.
 */
export function createUnaskedScans(
  scans: MetricScans,
  see: () => TableChangesSeen,
  mayLeave: () => boolean,
): MetricScans {
  // Before the last question that was answered.
  let told: TableChangesSeen | null = null;
  let nextOffset = 0n;
  return {
    async changes(signal) {
      const now = see();
      if (told !== null && mayLeave() && isSame(told, now)) return { series: [], activity: [], nextOffset };
      const changes = await scans.changes(signal, told !== null && told.removed !== now.removed);
      told = now;
      ({ nextOffset } = changes);
      return changes;
    },
    forget() {
      told = null;
      scans.forget();
    },
    samples: (request) => scans.samples(request),
    histograms: (request) => scans.histograms(request),
    exponentialHistograms: (request) => scans.exponentialHistograms(request),
    summaries: (request) => scans.summaries(request),
    exemplars: (request) => scans.exemplars(request),
  };
}

function isSame(left: TableChangesSeen, right: TableChangesSeen): boolean {
  return left.appended === right.appended && left.removed === right.removed;
}
