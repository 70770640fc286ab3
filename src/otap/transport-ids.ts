/**
 * Undoes the transport encodings of id columns (OTAP specification section 6.4). Additions wrap at the width of the column: the
 * arrays do that by themselves. Null rows are skipped: they stay 0 and leave the running value as it was.
 */

/** An id column as it comes from the wire. */
export type IdValues = Uint16Array | Uint32Array;

/**
 * Absolute ids of a delta-encoded column: each value is the difference to the last non-null one, the first to 0.
 * `validity` is one byte a row, null when no row is null. Returns a new array of the same width.
 */
export function undoDelta<Ids extends IdValues>(encoded: Ids, validity: Uint8Array | null): Ids {
  const ids = emptyIds(encoded);
  let previous = 0;
  for (let row = 0; row < encoded.length; row++) {
    if (validity !== null && validity[row] === 0) continue;
    ids[row] = previous + encoded[row]!;
    previous = ids[row]!;
  }
  return ids;
}

/**
 * Absolute ids of a quasi-delta-encoded column: a row that equals the last non-null row (in the columns that the table's rule
 * names) holds the difference to that row's id, any other row holds its id. `rowsEqual` is asked for row and earlier row.
 * Returns a new array of the same width.
 */
export function undoQuasiDelta<Ids extends IdValues>(
  encoded: Ids,
  validity: Uint8Array | null,
  rowsEqual: RowEquality,
): Ids {
  const ids = emptyIds(encoded);
  let previousRow = -1;
  for (let row = 0; row < encoded.length; row++) {
    if (validity !== null && validity[row] === 0) continue;
    const base = previousRow >= 0 && rowsEqual(row, previousRow) ? ids[previousRow]! : 0;
    ids[row] = base + encoded[row]!;
    previousRow = row;
  }
  return ids;
}

/** Whether two rows of a table hold the same values. */
export type RowEquality = (row: number, earlierRow: number) => boolean;

function emptyIds<Ids extends IdValues>(like: Ids): Ids {
  return (like instanceof Uint16Array ? new Uint16Array(like.length) : new Uint32Array(like.length)) as Ids;
}
