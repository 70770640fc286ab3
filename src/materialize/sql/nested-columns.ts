/** Columns that hold columns. */
import type { Vector } from '@duckdb/node-bindings';
import { duckdb } from '../duckdb.ts';
import type { ResultColumn } from './columns.ts';
import { BaseColumn, vectorData, vectorValidity } from './fixed-columns.ts';
import { OffsetsBuilder } from './offsets.ts';
import { isValid, spreadValidity } from './validity.ts';

/** LIST and MAP (a list of STRUCT(key, value)). */
export class ListColumn extends BaseColumn {
  readonly child: ResultColumn;
  readonly offsets = new OffsetsBuilder();
  /** Pairs of offset and length in the child vector. Both are 64 bits of which 32 are used. */
  #entries: Uint32Array = new Uint32Array(0);

  constructor(child: ResultColumn) {
    super();
    this.child = child;
  }

  override get children(): readonly ResultColumn[] {
    return [this.child];
  }

  get bytes(): number {
    return this.length * 4 + this.child.bytes;
  }

  get buffers(): readonly Uint8Array[] {
    return [this.offsets.bytes()];
  }

  load(vector: Vector, rowCount: number, mask: Uint8Array | null): void {
    const entries = vectorData(vector, rowCount * 16);
    this.#entries = new Uint32Array(entries.buffer, entries.byteOffset, rowCount * 4);
    this.loadedValidity = vectorValidity(vector, rowCount, mask);
    this.child.load(duckdb.list_vector_get_child(vector), duckdb.list_vector_get_size(vector), null);
  }

  /** Children of rows that follow each other are taken in one go; they nearly always do. */
  take(start: number, count: number): void {
    let from = 0;
    let to = 0;
    let end = this.child.length;
    for (let row = start; row < start + count; row++) {
      if (isValid(this.loadedValidity, row)) {
        const at = this.#entries[row * 4] as number;
        const size = this.#entries[row * 4 + 2] as number;
        if (at !== to && size > 0) {
          if (to > from) this.child.take(from, to - from);
          from = to = at;
        }
        to += size;
        end += size;
      }
      this.offsets.push(end);
    }
    if (to > from) this.child.take(from, to - from);
    this.rows.append(this.loadedValidity, start, count);
  }

  override reset(): void {
    super.reset();
    this.offsets.reset();
    this.child.reset();
  }
}

/** ARRAY: every row has the same number of children, null rows too. */
export class FixedListColumn extends BaseColumn {
  readonly child: ResultColumn;
  readonly size: number;

  constructor(child: ResultColumn, size: number) {
    super();
    this.child = child;
    this.size = size;
  }

  override get children(): readonly ResultColumn[] {
    return [this.child];
  }

  get bytes(): number {
    return this.child.bytes;
  }

  get buffers(): readonly Uint8Array[] {
    return [];
  }

  load(vector: Vector, rowCount: number, mask: Uint8Array | null): void {
    this.loadedValidity = vectorValidity(vector, rowCount, mask);
    const childMask = spreadValidity(this.loadedValidity, rowCount, this.size);
    this.child.load(duckdb.array_vector_get_child(vector), rowCount * this.size, childMask);
  }

  take(start: number, count: number): void {
    this.child.take(start * this.size, count * this.size);
    this.rows.append(this.loadedValidity, start, count);
  }

  override reset(): void {
    super.reset();
    this.child.reset();
  }
}

/** STRUCT. Children of a null row are null. */
export class StructColumn extends BaseColumn {
  readonly #children: readonly ResultColumn[];

  constructor(children: readonly ResultColumn[]) {
    super();
    this.#children = children;
  }

  override get children(): readonly ResultColumn[] {
    return this.#children;
  }

  get bytes(): number {
    return this.children.reduce((sum, child) => sum + child.bytes, 0);
  }

  get buffers(): readonly Uint8Array[] {
    return [];
  }

  load(vector: Vector, rowCount: number, mask: Uint8Array | null): void {
    const validity = vectorValidity(vector, rowCount, mask);
    this.loadedValidity = validity;
    this.children.forEach((child, index) => {
      child.load(duckdb.struct_vector_get_child(vector, index), rowCount, validity);
    });
  }

  take(start: number, count: number): void {
    for (const child of this.children) child.take(start, count);
    this.rows.append(this.loadedValidity, start, count);
  }

  override reset(): void {
    super.reset();
    for (const child of this.children) child.reset();
  }
}
