import { BatchTooLargeError } from '../base/index.ts';

/** Memory that decoding may take: charged before it is allocated. */
export interface DecodeBudget {
  /** Takes `bytes` off; throws BatchTooLargeError when less is left. */
  charge(bytes: number): void;
  /** Bytes not yet charged. */
  readonly remainingBytes: number;
}

/** A budget of `bytesMax` for one batch. */
export function createDecodeBudget(bytesMax: number): DecodeBudget {
  let remainingBytes = bytesMax;
  return {
    charge(bytes) {
      if (bytes > remainingBytes) {
        throw new BatchTooLargeError(`Cannot decode a batch: its Arrow buffers take more than ${bytesMax} bytes`, {
          bytesMax,
        });
      }
      remainingBytes -= bytes;
    },
    get remainingBytes() {
      return remainingBytes;
    },
  };
}
