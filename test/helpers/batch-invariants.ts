import assert from 'node:assert/strict';
import type { BytesColumn, CanonicalBatch, ListColumn } from '../../src/otap/index.ts';

/** Throws when a batch breaks the rules of canonical.ts: lengths, indices, offsets, valid UTF-8, defaults under null rows. */
export function checkBatch(batch: CanonicalBatch): void {
  for (const [name, table] of Object.entries(batch)) {
    if (table === null || typeof table !== 'object') continue;
    checkColumns(name, table as Record<string, unknown>, (table as { rowCount: number }).rowCount);
  }
}

function checkColumns(path: string, columns: Record<string, unknown>, rowCount: number): void {
  for (const [name, column] of Object.entries(columns)) {
    const where = `${path}.${name}`;
    if (column === null || typeof column !== 'object') continue;
    if (ArrayBuffer.isView(column)) assert.equal((column as Uint8Array).length, rowCount, where);
    else checkColumn(where, column as Record<string, unknown>, rowCount);
  }
}

function checkColumn(where: string, column: Record<string, unknown>, rowCount: number): void {
  if ('type' in column) return checkColumns(where, column, rowCount);
  const validity = column['validity'] as Uint8Array | null;
  if (validity !== null) assert.equal(validity.length, rowCount, where);
  if ('pool' in column) checkBytes(where, column as unknown as BytesColumn, rowCount);
  else if ('offsets' in column) checkList(where, column as unknown as ListColumn<Float64Array>, rowCount);
  else {
    const values = column['values'] as Uint8Array;
    const width = (column['width'] as number | undefined) ?? 1;
    assert.equal(values.length, rowCount * width, where);
    if (validity === null) return;
    for (let i = 0; i < values.length; i++) {
      if (validity[Math.floor(i / width)] === 0) assert.equal(Number(values[i]), 0, `${where} row ${i} is null`);
    }
  }
}

function checkBytes(where: string, column: BytesColumn, rowCount: number): void {
  const { pool, indices, validity, kind } = column;
  if (indices !== null) assert.equal(indices.length, rowCount, where);
  else assert.ok(pool.length >= rowCount && pool.offsets.length > rowCount, where);
  for (let row = 0; row < rowCount; row++) {
    const entry = indices === null ? row : indices[row]!;
    if (validity !== null && validity[row] === 0) {
      const isEmpty = indices === null ? pool.offsets[row] === pool.offsets[row + 1] : entry === 0;
      assert.ok(isEmpty, `${where} row ${row} is null`);
      continue;
    }
    assert.ok(entry < pool.length, `${where} row ${row}`);
    const [start, end] = [pool.offsets[entry]!, pool.offsets[entry + 1]!];
    assert.ok(start <= end && start >= 0 && end <= pool.bytes.length, `${where} row ${row}`);
    if (kind === 'utf8') utf8.decode(pool.bytes.subarray(start, end));
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function checkList(where: string, column: ListColumn<Float64Array>, rowCount: number): void {
  const { offsets, values, validity } = column;
  assert.equal(offsets.length, rowCount + 1, where);
  for (let row = 0; row < rowCount; row++) {
    assert.ok(offsets[row]! >= 0 && offsets[row]! <= offsets[row + 1]!, `${where} row ${row}`);
    if (validity !== null && validity[row] === 0) assert.equal(offsets[row], offsets[row + 1], `${where} row ${row}`);
  }
  assert.ok(offsets[rowCount]! <= values.length, where);
}
