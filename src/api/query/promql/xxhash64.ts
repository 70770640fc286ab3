/** xxHash64 with seed 0, in halves of 32 bits. Source: the specification at github.com/Cyan4973/xxHash (doc/xxhash_spec.md). */
export function xxHash64(bytes: Uint8Array): [high: number, low: number] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { length } = bytes;
  let at = 0;
  let hash: Long;
  if (length >= 32) {
    const lanes = [plus(PRIME1, PRIME2), PRIME2, ZERO, minus(ZERO, PRIME1)];
    for (; at + 32 <= length; at += 32) {
      for (let lane = 0; lane < 4; lane++) lanes[lane] = round(lanes[lane]!, read(view, at + lane * 8));
    }
    const [first, second, third, fourth] = lanes as [Long, Long, Long, Long];
    hash = plus(plus(rotate(first, 1), rotate(second, 7)), plus(rotate(third, 12), rotate(fourth, 18)));
    for (const lane of lanes) hash = plus(times(xor(hash, round(ZERO, lane)), PRIME1), PRIME4);
  } else hash = PRIME5;
  hash = plus(hash, [0, length]);
  for (; at + 8 <= length; at += 8)
    hash = plus(times(rotate(xor(hash, round(ZERO, read(view, at))), 27), PRIME1), PRIME4);
  if (at + 4 <= length) {
    hash = plus(times(rotate(xor(hash, times([0, view.getUint32(at, true)], PRIME1)), 23), PRIME2), PRIME3);
    at += 4;
  }
  for (; at < length; at++) hash = times(rotate(xor(hash, times([0, bytes[at]!], PRIME5)), 11), PRIME1);
  hash = times(xor(hash, shiftRight(hash, 33)), PRIME2);
  hash = times(xor(hash, shiftRight(hash, 29)), PRIME3);
  hash = xor(hash, shiftRight(hash, 32));
  return [hash[0], hash[1]];
}

/** Both halves unsigned. */
type Long = readonly [high: number, low: number];

const ZERO: Long = [0, 0];
const PRIME1: Long = [0x9e3779b1, 0x85ebca87];
const PRIME2: Long = [0xc2b2ae3d, 0x27d4eb4f];
const PRIME3: Long = [0x165667b1, 0x9e3779f9];
const PRIME4: Long = [0x85ebca77, 0xc2b2ae63];
const PRIME5: Long = [0x27d4eb2f, 0x165667c5];

function round(accumulator: Long, input: Long): Long {
  return times(rotate(plus(accumulator, times(input, PRIME2)), 31), PRIME1);
}

function read(view: DataView, at: number): Long {
  return [view.getUint32(at + 4, true), view.getUint32(at, true)];
}

function plus(left: Long, right: Long): Long {
  const low = left[1] + right[1];
  return [(left[0] + right[0] + (low > 0xffffffff ? 1 : 0)) >>> 0, low >>> 0];
}

function minus(left: Long, right: Long): Long {
  const low = left[1] - right[1];
  return [(left[0] - right[0] - (low < 0 ? 1 : 0)) >>> 0, low >>> 0];
}

function xor(left: Long, right: Long): Long {
  return [(left[0] ^ right[0]) >>> 0, (left[1] ^ right[1]) >>> 0];
}

/** Modulo 2^64. */
function times(left: Long, right: Long): Long {
  const [highCarry, low] = product(left[1], right[1]);
  const high = (highCarry + Math.imul(left[0], right[1]) + Math.imul(left[1], right[0])) >>> 0;
  return [high, low];
}

/** Of two halves, whole. */
function product(left: number, right: number): Long {
  const leftLow = left & 0xffff;
  const leftHigh = left >>> 16;
  const rightLow = right & 0xffff;
  const rightHigh = right >>> 16;
  const low = leftLow * rightLow;
  const middle = leftHigh * rightLow + Math.floor(low / 0x10000);
  const crossed = leftLow * rightHigh + (middle % 0x10000);
  const high = leftHigh * rightHigh + Math.floor(middle / 0x10000) + Math.floor(crossed / 0x10000);
  return [high >>> 0, ((crossed % 0x10000) * 0x10000 + (low % 0x10000)) >>> 0];
}

/** To the left, by 1 to 31 bits. */
function rotate(value: Long, bits: number): Long {
  const [high, low] = value;
  return [((high << bits) | (low >>> (32 - bits))) >>> 0, ((low << bits) | (high >>> (32 - bits))) >>> 0];
}

/** By 29, 32 or 33 bits. */
function shiftRight([high, low]: Long, bits: number): Long {
  if (bits >= 32) return [0, high >>> (bits - 32)];
  return [high >>> bits, ((high << (32 - bits)) | (low >>> bits)) >>> 0];
}
