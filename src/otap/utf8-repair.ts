import { isAscii, isUtf8 } from 'node:buffer';

/** Strings as bytes and `count + 1` offsets into them. */
export interface StringBytes {
  readonly bytes: Uint8Array;
  readonly offsets: Int32Array | Uint32Array;
}

/**
 * Makes each of `count` strings valid UTF-8: what is not becomes U+FFFD, as the WHATWG decoder does it. Offsets must already be
 * checked to be monotone and inside `bytes`. Returns the input itself when nothing is wrong, else new arrays that begin at 0,
 * and how many strings were changed.
 */
export function repairStrings(strings: StringBytes, count: number): StringBytes & { readonly repaired: number } {
  const { bytes, offsets } = strings;
  if (count === 0) return { bytes, offsets, repaired: 0 };
  const used = bytes.subarray(offsets[0], offsets[count]);
  if (isAscii(used) || (isUtf8(used) && !splitsCharacter(bytes, offsets, count)))
    return { bytes, offsets, repaired: 0 };
  return rebuild(bytes, offsets, count);
}

/** Bytes that are valid as a whole may be invalid in pieces: a boundary inside a character leaves two broken strings. */
function splitsCharacter(bytes: Uint8Array, offsets: Int32Array | Uint32Array, count: number): boolean {
  const end = offsets[count]!;
  for (let entry = 0; entry < count; entry++) {
    const at = offsets[entry]!;
    if (at < end && (bytes[at]! & 0xc0) === 0x80) return true;
  }
  return false;
}

function rebuild(bytes: Uint8Array, offsets: Int32Array | Uint32Array, count: number) {
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: Uint8Array[] = [];
  const newOffsets = new Uint32Array(count + 1);
  let repaired = 0;
  for (let entry = 0; entry < count; entry++) {
    let part = source.subarray(offsets[entry], offsets[entry + 1]);
    if (!isUtf8(part)) {
      part = Buffer.from(part.toString('utf8'), 'utf8');
      repaired++;
    }
    parts.push(part);
    newOffsets[entry + 1] = newOffsets[entry]! + part.length;
  }
  const joined = Buffer.concat(parts);
  return { bytes: new Uint8Array(joined.buffer, joined.byteOffset, joined.length), offsets: newOffsets, repaired };
}
