/**
 * Memory of chunks, used again and again: it is moved to the other thread with a chunk and comes back when that was sent. Fresh memory for
 * every chunk costs more than reading and checking (page faults, and garbage collections for what lies outside of the heap).
 */
import { LIMITS } from '../../base/index.ts';
import type { Placeable } from './types.ts';

export interface Memories {
  /** Memory of at least so many bytes. */
  take(bytes: number): ArrayBuffer;
  giveBack(memory: ArrayBuffer): void;
}

/** One chunk while it is filled. */
export interface Chunk {
  readonly bytes: number;
  add(part: Uint8Array | Placeable): void;
  /** What was added. Its memory is whole: it can be moved. */
  take(): Uint8Array<ArrayBuffer>;
}

/** Heads of frames, which their bound does not count. */
const FRAME_HEAD_BYTES = 256 * 1024;
/** A chunk that is as good as full, and one frame on top of it. */
const MEMORY_BYTES = LIMITS.pullChunkBytes + LIMITS.frameBytesMax + FRAME_HEAD_BYTES;
/** Enough for a few pulls that are under way. */
const SPARE_MAX = 8;

/** Memory for chunks. What larger frames needed is not kept. */
export function createMemories(): Memories {
  const spare: ArrayBuffer[] = [];
  return {
    take(bytes) {
      const found = bytes <= MEMORY_BYTES ? spare.pop() : undefined;
      return found ?? (Buffer.allocUnsafeSlow(Math.max(bytes, MEMORY_BYTES)).buffer as ArrayBuffer);
    },
    giveBack(memory) {
      if (memory.byteLength === MEMORY_BYTES && spare.length < SPARE_MAX) spare.push(memory);
    },
  };
}

/** An empty chunk. */
export function createChunk(memories: Memories): Chunk {
  let target: Uint8Array<ArrayBuffer> | null = null;
  let bytes = 0;
  const room = (more: number): Uint8Array<ArrayBuffer> => {
    if (target !== null && bytes + more <= target.length) return target;
    const larger = new Uint8Array(memories.take(bytes + more));
    if (target !== null) {
      larger.set(target.subarray(0, bytes));
      memories.giveBack(target.buffer);
    }
    return larger;
  };
  return {
    get bytes() {
      return bytes;
    },
    add(part) {
      target = room(part.length);
      if ('placeIn' in part) part.placeIn(target, bytes);
      else target.set(part, bytes);
      bytes += part.length;
    },
    take: () => (target ?? room(0)).subarray(0, bytes),
  };
}
