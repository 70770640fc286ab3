/**
 * Loaded into a real server before its own code: segments, intervals and pauses so small that a few requests rotate, delete, commit and
 * flush. Whatever decides between right and wrong is as it is.
 */
import { LIMITS } from '../../src/base/index.ts';

const SMALL = {
  frameBytesMax: 262_144,
  segmentBytesMax: 262_144,
  streamStateBytesMax: 262_144,
  pushStreamStateBytesMax: 131_072,
  indexIntervalMs: 10,
  retentionIntervalMs: 50,
  tablesHoldIntervalMs: 50,
} satisfies Partial<Record<keyof typeof LIMITS, number>>;

Object.assign(LIMITS, SMALL);
