/** Decides whether the oldest segment goes, and why. No input or output. */
import { LIMITS } from '../base/index.ts';
import type { Holds } from './holds.ts';
import type { KeptSegment } from './kept-segments.ts';
import type { DeletionReason } from './types.ts';

export interface RetentionState {
  /** Oldest first. */
  readonly segments: readonly KeptSegment[];
  /** Bytes of all of them. */
  readonly bytes: number;
  readonly nowUnixNano: bigint;
  readonly ageMaxMs: number | null;
  readonly bytesMax: number;
  /** Bytes missing from the disk's reserve, 0 or less when nothing is. */
  readonly missingBytes: number;
  /** The newest receive time of the segments that were deleted. */
  readonly receivedBefore: bigint | null;
  readonly holds: Pick<Holds, 'needs'>;
}

/**
 * Why the oldest segment is to be deleted now, or null when it stays. The last segment with entries always stays: it says where the log
 * ends. By age a segment goes only when no consumer needs it; by bytes and for the reserve also when one with policy `drop` does.
 */
export function deletionReason(state: RetentionState): DeletionReason | null {
  const oldest = state.segments[0];
  const isLast = !state.segments.some((segment, i) => i > 0 && segment.endOffset > segment.baseOffset);
  if (oldest === undefined || isLast) return null;
  const { ageMaxMs, bytes, bytesMax, missingBytes, holds } = state;
  if (ageMaxMs !== null && !holds.needs(oldest.endOffset, 'any')) {
    const receivedAt = receivedAtOfOldest(state);
    const limit = state.nowUnixNano - BigInt(ageMaxMs) * 1_000_000n;
    if (receivedAt !== null && receivedAt < limit) return 'age';
  }
  if (holds.needs(oldest.endOffset, 'hold')) return null;
  if (bytes > bytesMax) return 'bytes';
  return missingBytes > 0 ? 'reserve' : null;
}

/**
 * When the newest entry of the oldest segment was received, at the latest; null when that is not known. Entries are received in order, so
 * segments age in order: a time before that of an older segment comes from a clock that was set back, and the older one's counts. A time
 * in the future comes from a clock that was ahead, one before 2020 from a clock that was not set: the next newer segment's counts, as with
 * a segment that cannot be read.
 */
export function receivedAtOfOldest({ segments, nowUnixNano, receivedBefore }: RetentionState): bigint | null {
  const latest = nowUnixNano + BigInt(LIMITS.clockSlackMs) * 1_000_000n;
  const earliest = BigInt(LIMITS.clockSetUnixMs) * 1_000_000n;
  const believed = segments.find(({ receivedAtMax: at }) => at !== null && at >= earliest && at <= latest);
  const receivedAt = believed?.receivedAtMax ?? null;
  if (receivedAt === null || receivedBefore === null || receivedBefore > latest) return receivedAt;
  return receivedBefore > receivedAt ? receivedBefore : receivedAt;
}
