import { Buffer } from 'node:buffer';
import type { ColumnNode } from '../sql/columns-encoder.ts';
import type { TextPool } from './text-pool.ts';

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

/** Low and high halves of 64-bit numbers, one after another: DuckDB runs on machines alone that store them so. */
export function halves({ buffers, length }: ColumnNode): Uint32Array {
  const [values] = buffers;
  return new Uint32Array(values!.buffer, values!.byteOffset, 2 * length);
}

/** Strings of a VARCHAR column; NULL is ''. */
export function texts({ buffers, length, validity }: ColumnNode, pool: TextPool): string[] {
  const [offsetBytes, textBytes] = buffers;
  const offsets = new Int32Array(offsetBytes!.buffer, offsetBytes!.byteOffset, length + 1);
  const bytes = Buffer.from(textBytes!.buffer, textBytes!.byteOffset, textBytes!.byteLength);
  const found: string[] = [];
  for (let row = 0; row < length; row++) {
    const isNull = validity !== null && ((validity[row >> 3]! >> (row & 7)) & 1) === 0;
    found.push(isNull ? '' : pool.text(bytes, offsets[row]!, offsets[row + 1]!));
  }
  return found;
}

/** Rows of a MAP(VARCHAR, VARCHAR): key, value, key, value... */
export function textPairs(node: ColumnNode, pool: TextPool): string[][] {
  const offsets = listOffsets(node);
  const [keys, values] = node.children[0]!.children.map((child) => texts(child, pool));
  const rows: string[][] = [];
  for (let row = 0; row < node.length; row++) {
    const pairs: string[] = [];
    for (let at = offsets[row]!; at < offsets[row + 1]!; at++) pairs.push(keys![at]!, values![at]!);
    rows.push(pairs);
  }
  return rows;
}

export function booleans({ buffers, length }: ColumnNode): boolean[] {
  const [bits] = buffers;
  return Array.from({ length }, (_, row) => ((bits![row >> 3]! >> (row & 7)) & 1) === 1);
}
