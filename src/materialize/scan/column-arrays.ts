import type { ColumnNode } from '../sql/columns-encoder.ts';

/** Typed arrays over a column's memory; the type must be that of the column. */
export function float64s({ buffers, length }: ColumnNode): Float64Array {
  const [values] = buffers;
  return new Float64Array(values!.buffer, values!.byteOffset, length);
}

export function uint32s({ buffers, length }: ColumnNode): Uint32Array {
  const [values] = buffers;
  return new Uint32Array(values!.buffer, values!.byteOffset, length);
}

export function int32s({ buffers, length }: ColumnNode): Int32Array {
  const [values] = buffers;
  return new Int32Array(values!.buffer, values!.byteOffset, length);
}

export function bigUint64s({ buffers, length }: ColumnNode): BigUint64Array {
  const [values] = buffers;
  return new BigUint64Array(values!.buffer, values!.byteOffset, length);
}

/** Offsets of a list, one more than rows. A NULL list is empty. */
export function listOffsets({ buffers, length }: ColumnNode): Uint32Array {
  const [offsets] = buffers;
  return new Uint32Array(offsets!.buffer, offsets!.byteOffset, length + 1);
}

const decoder = new TextDecoder();

/** Strings of a VARCHAR column; NULL is ''. */
export function texts({ buffers, length, validity }: ColumnNode): string[] {
  const [offsetBytes, bytes] = buffers;
  const offsets = new Int32Array(offsetBytes!.buffer, offsetBytes!.byteOffset, length + 1);
  return Array.from({ length }, (_, row) => {
    const isNull = validity !== null && ((validity[row >> 3]! >> (row & 7)) & 1) === 0;
    return isNull ? '' : decoder.decode(bytes!.subarray(offsets[row]!, offsets[row + 1]!));
  });
}

/** Rows of a MAP(VARCHAR, VARCHAR): key, value, key, value... */
export function textPairs(node: ColumnNode): string[][] {
  const offsets = listOffsets(node);
  const [keys, values] = node.children[0]!.children.map(texts);
  return Array.from({ length: node.length }, (_, row) => {
    const pairs: string[] = [];
    for (let at = offsets[row]!; at < offsets[row + 1]!; at++) pairs.push(keys![at]!, values![at]!);
    return pairs;
  });
}

export function booleans({ buffers, length }: ColumnNode): boolean[] {
  const [bits] = buffers;
  return Array.from({ length }, (_, row) => ((bits![row >> 3]! >> (row & 7)) & 1) === 1);
}
