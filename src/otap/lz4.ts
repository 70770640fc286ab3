import { BatchMalformedError } from '../base/index.ts';

const MAGIC = 0x184d2204;
const VERSION_MASK = 0xc0;
const VERSION = 0x40;
const BLOCK_CHECKSUM = 0x10;
const CONTENT_SIZE = 0x08;
const CONTENT_CHECKSUM = 0x04;
const DICTIONARY_ID = 0x01;
const BLOCK_UNCOMPRESSED = 0x80000000;
const MATCH_MIN = 4;

/**
 * Decompresses one LZ4 frame (LZ4 frame format 1.6) that must come to exactly `length` bytes, which the caller has checked
 * against its budget: no more than that is ever allocated or written. Checksums are skipped: the transport and the log have
 * their own. Throws BatchMalformedError.
 */
export function decompressLz4(source: Uint8Array, length: number): Uint8Array {
  const target = new Uint8Array(length);
  const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
  if (source.length < 7 || view.getUint32(0, true) !== MAGIC) throw malformed('no LZ4 frame');
  const flags = source[4]!;
  if ((flags & VERSION_MASK) !== VERSION) throw malformed('unknown LZ4 frame version');
  if ((flags & DICTIONARY_ID) !== 0) throw malformed('an LZ4 frame with a dictionary');
  let at = 7 + ((flags & CONTENT_SIZE) !== 0 ? 8 : 0);
  let written = 0;
  for (;;) {
    if (at + 4 > source.length) throw malformed('the LZ4 frame is cut off');
    const header = view.getUint32(at, true);
    at += 4;
    if (header === 0) break;
    const end = at + (header & ~BLOCK_UNCOMPRESSED);
    if (end > source.length) throw malformed('the LZ4 frame is cut off');
    if (header >= BLOCK_UNCOMPRESSED) written = copyBlock(source.subarray(at, end), target, written);
    else written = decompressBlock(source, at, end, target, written);
    at = end + ((flags & BLOCK_CHECKSUM) !== 0 ? 4 : 0);
  }
  if (at + ((flags & CONTENT_CHECKSUM) !== 0 ? 4 : 0) > source.length) throw malformed('the LZ4 frame is cut off');
  if (written !== length) throw malformed(`the LZ4 frame holds ${written} bytes, ${length} were declared`);
  return target;
}

function copyBlock(block: Uint8Array, target: Uint8Array, written: number): number {
  if (written + block.length > target.length) throw malformed('the LZ4 frame holds more than was declared');
  target.set(block, written);
  return written + block.length;
}

function decompressBlock(source: Uint8Array, start: number, end: number, target: Uint8Array, written: number): number {
  let at = start;
  let to = written;
  while (at < end) {
    const token = source[at++]!;
    let literals = token >> 4;
    if (literals === 15) {
      let more = 255;
      while (more === 255) {
        if (at >= end) throw malformed('the LZ4 block is cut off');
        more = source[at++]!;
        literals += more;
      }
    }
    if (at + literals > end) throw malformed('the LZ4 block is cut off');
    if (to + literals > target.length) throw malformed('the LZ4 frame holds more than was declared');
    target.set(source.subarray(at, at + literals), to);
    at += literals;
    to += literals;
    // The last sequence of a block is literals only.
    if (at === end) break;

    if (at + 2 > end) throw malformed('the LZ4 block is cut off');
    const distance = source[at]! | (source[at + 1]! << 8);
    at += 2;
    if (distance === 0 || distance > to) throw malformed(`an LZ4 match reaches ${distance} bytes back at byte ${to}`);
    let matched = token & 15;
    if (matched === 15) {
      let more = 255;
      while (more === 255) {
        if (at >= end) throw malformed('the LZ4 block is cut off');
        more = source[at++]!;
        matched += more;
      }
    }
    const matchEnd = to + matched + MATCH_MIN;
    if (matchEnd > target.length) throw malformed('the LZ4 frame holds more than was declared');
    // Byte by byte: a match may overlap what it writes.
    for (; to < matchEnd; to++) target[to] = target[to - distance]!;
  }
  return to;
}

function malformed(reason: string): BatchMalformedError {
  return new BatchMalformedError(`Cannot decompress an Arrow buffer: ${reason}`);
}
