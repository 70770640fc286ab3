/** Loaded into a real `treasury pull` before its own code: it writes files after a few rows, and asks again soon. */
import { LIMITS } from '../../src/base/index.ts';

const SMALL = {
  folderFlushRowsMax: 1_200,
  folderFlushIntervalMs: 200,
  pullRetryMinMs: 50,
  pullRetryMaxMs: 200,
} satisfies Partial<Record<keyof typeof LIMITS, number>>;

Object.assign(LIMITS, SMALL);
