import type { AttributesTable } from '../../src/otap/index.ts';

/** One attribute, `k` without a value, whose parent no row has. */
export function orphanAttribute(parentId: number): AttributesTable {
  return {
    rowCount: 1,
    parentId: Uint32Array.of(parentId),
    parentValidity: null,
    type: Uint8Array.of(0),
    key: {
      kind: 'utf8',
      pool: { bytes: Buffer.from('k'), offsets: Uint32Array.of(0, 1), length: 1 },
      indices: null,
      validity: null,
    },
    str: null,
    int: null,
    double: null,
    bool: null,
    bytes: null,
    ser: null,
  };
}
