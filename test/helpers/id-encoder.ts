/** Transport encodings of id columns, as the specification's section 6.4 writes them: the other side of the decoder. */

/** Differences to the last non-null value, wrapped to `bits`. */
export function encodeDelta(ids: readonly (number | null)[], bits: 16 | 32): number[] {
  let previous = 0;
  return ids.map((id) => {
    if (id === null) return 0;
    const delta = id - previous;
    previous = id;
    return wrap(delta, bits);
  });
}

/** Differences where `isEqual(row, earlier)` holds for the last non-null row, ids elsewhere. */
export function encodeQuasiDelta(
  ids: readonly (number | null)[],
  bits: 16 | 32,
  isEqual: (row: number, earlier: number) => boolean,
): number[] {
  let earlier = -1;
  return ids.map((id, row) => {
    if (id === null) return 0;
    const base = earlier >= 0 && isEqual(row, earlier) ? ids[earlier]! : 0;
    earlier = row;
    return wrap(id - base, bits);
  });
}

function wrap(value: number, bits: 16 | 32): number {
  return bits === 16 ? value & 0xffff : value >>> 0;
}
