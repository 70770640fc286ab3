/**
 * zstd (RFC 8878) in WebAssembly, behind a guard. The library allocates whatever a frame claims and sizes its output by the first
 * frame only, so this file reads the structure of every frame (headers and block headers) before the library sees it. Receivers
 * use it for messages, the decoder for Arrow buffers.
 */
import { createRequire } from 'node:module';
import type * as ZstdWasm from '@bokuweb/zstd-wasm';
import { assert, BatchMalformedError, BatchTooLargeError, errorMessage, LIMITS } from '../base/index.ts';

// By require: an import of CommonJS costs memory that is never given back (cjs-module-lexer).
const { compress, decompress, init } = createRequire(import.meta.url)('@bokuweb/zstd-wasm') as typeof ZstdWasm;

let initializing: Promise<void> | null = null;
let isReady = false;

/** Loads the WebAssembly module; once a thread, later calls return the same promise. Rejects when it cannot be loaded. */
export function initZstd(): Promise<void> {
  initializing ??= init().then(() => {
    isReady = true;
  });
  return initializing;
}

/**
 * Decompresses the concatenated zstd frames in `bytes`; skippable frames are skipped, no bytes give no bytes. `maxBytes` bounds the
 * result of all frames together. The result owns its memory.
 * Throws BatchTooLargeError when the input or a frame's content or window is above its limit (known before anything is allocated,
 * unless a frame hides its content size), BatchMalformedError when the bytes are not zstd, truncated, damaged or need a dictionary.
 */
export function decompressZstd(bytes: Uint8Array, maxBytes: number): Buffer {
  assert(isReady, 'initZstd() must have settled before decompressZstd()');
  const inputBytesMax = LIMITS.messageBytesMax;
  if (bytes.length > inputBytesMax) throw tooLarge('compressed bytes', bytes.length, inputBytesMax);
  const frames = readFrames(bytes, maxBytes);
  const [first] = frames;
  if (first === undefined) return Buffer.alloc(0);
  if (frames.length === 1) return decompressFrame(bytes, first, maxBytes);
  let remainingBytes = maxBytes;
  const contents = frames.map((frame) => {
    const content = decompressFrame(bytes, frame, remainingBytes);
    remainingBytes -= content.length;
    return content;
  });
  return Buffer.concat(contents);
}

const LEVEL_DEFAULT = 3;

/** Compresses `bytes` into one frame with its content size. `level` is zstd's (1 to 19 make sense). */
export function compressZstd(bytes: Uint8Array, level: number = LEVEL_DEFAULT): Buffer {
  assert(isReady, 'initZstd() must have settled before compressZstd()');
  const compressed = compress(bytes, level);
  return Buffer.from(compressed.buffer, compressed.byteOffset, compressed.byteLength);
}

/** One data frame of the input, before decompression. */
interface ZstdFrame {
  readonly start: number;
  readonly end: number;
  /** The size that the frame claims (the library checks it), or null. */
  readonly contentBytes: number | null;
  /** The most that its blocks can give. */
  readonly boundBytes: number;
}

const FRAME_MAGIC = 0xfd2fb528;
/** Skippable frames have one of 16 magic numbers. */
const SKIPPABLE_MAGIC = 0x184d2a50;
const SKIPPABLE_MAGIC_MASK = 0xfffffff0;
const BLOCK_BYTES_MAX = 128 * 1024;
const BLOCK_HEADER_BYTES = 3;
const BLOCK_TYPES = { RAW: 0, RLE: 1, COMPRESSED: 2 } as const;
const CHECKSUM_BYTES = 4;
/** Lengths by the two-bit flags of the frame header descriptor; a content size flag of 0 is 1 byte in single-segment frames. */
const DICTIONARY_ID_LENGTHS = [0, 1, 2, 4] as const;
const CONTENT_SIZE_LENGTHS = [0, 2, 4, 8] as const;

/** The data frames of `bytes`, checked up to their last byte; the sum of what is known of their sizes is at most `maxBytes`. */
function readFrames(bytes: Uint8Array, maxBytes: number): ZstdFrame[] {
  const frames: ZstdFrame[] = [];
  let knownBytes = 0;
  let position = 0;
  while (position < bytes.length) {
    need(bytes, position, 4);
    const magic = uint32At(bytes, position);
    if ((magic & SKIPPABLE_MAGIC_MASK) >>> 0 === SKIPPABLE_MAGIC) {
      need(bytes, position, 8);
      const skippedBytes = uint32At(bytes, position + 4);
      need(bytes, position + 8, skippedBytes);
      position += 8 + skippedBytes;
      continue;
    }
    if (magic !== FRAME_MAGIC) throw corrupt(`no frame begins here (0x${magic.toString(16)})`, position);
    const frame = readFrame(bytes, position, maxBytes - knownBytes);
    knownBytes += frame.contentBytes ?? 0;
    frames.push(frame);
    position = frame.end;
  }
  return frames;
}

function readFrame(bytes: Uint8Array, start: number, maxBytes: number): ZstdFrame {
  let position = start + 4;
  need(bytes, position, 1);
  const descriptor = bytes[position++]!;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  if ((descriptor & 0x08) !== 0) throw corrupt('a reserved bit is set', start + 4);
  let windowBytes = 0;
  if (!isSingleSegment) {
    need(bytes, position, 1);
    windowBytes = windowBytesOf(bytes[position++]!);
    if (windowBytes > LIMITS.zstdWindowBytesMax) throw tooLarge('window bytes', windowBytes, LIMITS.zstdWindowBytesMax);
  }
  const dictionaryIdLength = DICTIONARY_ID_LENGTHS[(descriptor & 3) as 0 | 1 | 2 | 3];
  need(bytes, position, dictionaryIdLength);
  for (let i = 0; i < dictionaryIdLength; i++) {
    if (bytes[position + i]! !== 0) throw corrupt('the frame needs a dictionary', position);
  }
  position += dictionaryIdLength;
  const sizeFlag = (descriptor >> 6) as 0 | 1 | 2 | 3;
  const sizeLength = sizeFlag === 0 && isSingleSegment ? 1 : CONTENT_SIZE_LENGTHS[sizeFlag];
  need(bytes, position, sizeLength);
  const contentBytes = readContentSize(bytes, position, sizeLength);
  if (contentBytes !== null && contentBytes > maxBytes) throw tooLarge('content bytes', contentBytes, maxBytes);
  position += sizeLength;
  const blockBytesMax = Math.min(BLOCK_BYTES_MAX, isSingleSegment ? (contentBytes ?? 0) : windowBytes);
  const blocks = readBlocks(bytes, position, blockBytesMax, maxBytes);
  const end = (descriptor & 0x04) === 0 ? blocks.end : blocks.end + CHECKSUM_BYTES;
  need(bytes, blocks.end, end - blocks.end);
  return { start, end, contentBytes, boundBytes: blocks.boundBytes };
}

/** Walks the block headers. Raw and repeated blocks say their size, so most bombs end here. */
function readBlocks(
  bytes: Uint8Array,
  start: number,
  blockBytesMax: number,
  maxBytes: number,
): { end: number; boundBytes: number } {
  let position = start;
  let certainBytes = 0;
  let boundBytes = 0;
  for (;;) {
    need(bytes, position, BLOCK_HEADER_BYTES);
    const header = bytes[position]! | (bytes[position + 1]! << 8) | (bytes[position + 2]! << 16);
    const type = (header >> 1) & 3;
    const size = header >> 3;
    if (size > blockBytesMax) throw corrupt(`a block has ${size} bytes, above its frame's ${blockBytesMax}`, position);
    position += BLOCK_HEADER_BYTES;
    if (type === BLOCK_TYPES.COMPRESSED) {
      boundBytes += blockBytesMax;
    } else if (type === BLOCK_TYPES.RAW || type === BLOCK_TYPES.RLE) {
      certainBytes += size;
      boundBytes += size;
      if (certainBytes > maxBytes) throw tooLarge('content bytes', certainBytes, maxBytes);
    } else {
      throw corrupt('a block has the reserved type', position);
    }
    const storedBytes = type === BLOCK_TYPES.RLE ? 1 : size;
    need(bytes, position, storedBytes);
    position += storedBytes;
    if ((header & 1) !== 0) return { end: position, boundBytes };
  }
}

/** Section 3.1.1.1.2 of RFC 8878: 5 bits of exponent, 3 of mantissa. */
function windowBytesOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

function readContentSize(bytes: Uint8Array, position: number, length: number): number | null {
  switch (length) {
    case 1:
      return bytes[position]!;
    case 2:
      return (bytes[position]! | (bytes[position + 1]! << 8)) + 256;
    case 4:
      return uint32At(bytes, position);
    case 8:
      return uint32At(bytes, position + 4) * 2 ** 32 + uint32At(bytes, position);
    default:
      return null;
  }
}

/** First guess for frames without a content size; those come from encoders that stream, above 128 KiB of content. */
const CAPACITY_BYTES_MIN = 1024 * 1024;
const CAPACITY_RATIO = 8;
const CAPACITY_GROWTH = 4;

function decompressFrame(bytes: Uint8Array, frame: ZstdFrame, maxBytes: number): Buffer {
  const isWhole = frame.start === 0 && frame.end === bytes.length;
  const source = isWhole ? bytes : bytes.subarray(frame.start, frame.end);
  if (frame.contentBytes !== null) return run(source, frame.contentBytes);
  const capacityMax = Math.min(frame.boundBytes, maxBytes);
  let capacity = Math.min(capacityMax, Math.max(CAPACITY_BYTES_MIN, source.length * CAPACITY_RATIO));
  for (;;) {
    try {
      return run(source, capacity);
    } catch (error) {
      if (!(error instanceof BatchTooLargeError)) throw error;
      if (capacity >= capacityMax) throw tooLarge('content bytes', frame.boundBytes, maxBytes);
      capacity = Math.min(capacityMax, capacity * CAPACITY_GROWTH);
    }
  }
}

/** ZSTD_error_dstSize_tooSmall as the library reports it in its message. */
const OUTPUT_TOO_SMALL = /code -70\b/;

function run(source: Uint8Array, capacityBytes: number): Buffer {
  let content: Uint8Array;
  try {
    content = decompress(source, { defaultHeapSize: capacityBytes });
  } catch (error) {
    if (OUTPUT_TOO_SMALL.test(errorMessage(error))) throw tooLarge('content bytes', capacityBytes + 1, capacityBytes);
    throw new BatchMalformedError(`Cannot decompress zstd: the frame is damaged (${errorMessage(error)})`, {}, error);
  }
  return Buffer.from(content.buffer, content.byteOffset, content.byteLength);
}

/** Frames are many and small (one for each Arrow buffer): making a DataView would cost more than these reads. */
function uint32At(bytes: Uint8Array, position: number): number {
  return (
    (bytes[position]! | (bytes[position + 1]! << 8) | (bytes[position + 2]! << 16) | (bytes[position + 3]! << 24)) >>> 0
  );
}

function need(bytes: Uint8Array, position: number, length: number): void {
  if (position + length > bytes.length) throw corrupt('the frame is truncated', bytes.length);
}

function corrupt(reason: string, position: number): BatchMalformedError {
  return new BatchMalformedError(`Cannot decompress zstd: ${reason}, at byte ${position}`, { position });
}

function tooLarge(what: string, value: number, max: number): BatchTooLargeError {
  return new BatchTooLargeError(`Cannot decompress zstd: ${what} are ${value}, above ${max}`, { bytes: value, max });
}
