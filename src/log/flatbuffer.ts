/**
 * Lays out FlatBuffers: just enough to write Arrow's two message kinds of a segment once, as templates, without loading an Arrow
 * library into the server. Parents come before children, so every reference points forward as the format demands.
 * Format: https://flatbuffers.dev/internals/
 */

/** Called with the byte position of what was laid out, counted from the start of the buffer. */
type OnPlaced = (position: number) => void;

export type FlatNode =
  | { readonly kind: 'table'; readonly slots: readonly (FlatSlot | null)[] }
  /** `placed` gets the position of the first character. */
  | { readonly kind: 'string'; readonly text: string; readonly placed?: OnPlaced }
  | { readonly kind: 'references'; readonly items: readonly FlatNode[] }
  /** Structs of two 64-bit words each, all zero; `placed` gets the position of the first. */
  | { readonly kind: 'pairs'; readonly count: number; readonly placed?: OnPlaced };

/** A field of a table: a scalar of `bytes` bytes (value little-endian), or a reference. */
export type FlatSlot =
  | { readonly bytes: 1 | 2 | 4 | 8; readonly value: number; readonly placed?: OnPlaced }
  | { readonly node: FlatNode };

const REFERENCE_BYTES = 4;
const TABLE_ALIGNMENT = 8;
const FIRST_CAPACITY_BYTES = 8192;

/** The bytes of a FlatBuffer with the given root table, padded with zeros to a multiple of 8. */
export function layOutFlatBuffer(root: FlatNode): Uint8Array {
  const writer = new FlatWriter();
  writer.placeReferenced(writer.reserve(REFERENCE_BYTES, REFERENCE_BYTES), root);
  writer.align(8);
  return writer.bytes();
}

class FlatWriter {
  #buffer = Buffer.alloc(FIRST_CAPACITY_BYTES);
  #end = 0;

  bytes(): Uint8Array {
    return Uint8Array.prototype.slice.call(this.#buffer, 0, this.#end);
  }

  align(alignment: number): void {
    this.reserve(0, alignment);
  }

  /** Position of `bytes` zero bytes at the end, aligned. */
  reserve(bytes: number, alignment: number): number {
    const position = Math.ceil(this.#end / alignment) * alignment;
    this.#end = position + bytes;
    if (this.#end > this.#buffer.length) {
      this.#buffer = Buffer.concat([this.#buffer], Math.max(this.#end, this.#buffer.length * 2));
    }
    return position;
  }

  /** Lays out a node and stores the way to it in the reference at `slot`. */
  placeReferenced(slot: number, node: FlatNode): void {
    const position = this.#place(node);
    this.#buffer.writeUInt32LE(position - slot, slot);
  }

  #place(node: FlatNode): number {
    switch (node.kind) {
      case 'table':
        return this.#placeTable(node.slots);
      case 'string': {
        const length = Buffer.byteLength(node.text);
        const position = this.reserve(4 + length + 1, 4);
        this.#buffer.writeUInt32LE(length, position);
        this.#buffer.write(node.text, position + 4);
        node.placed?.(position + 4);
        return position;
      }
      case 'references': {
        const position = this.reserve(4 + node.items.length * REFERENCE_BYTES, 4);
        this.#buffer.writeUInt32LE(node.items.length, position);
        node.items.forEach((item, i) => this.placeReferenced(position + 4 + i * REFERENCE_BYTES, item));
        return position;
      }
      case 'pairs': {
        // The count sits right before the first struct, which is aligned to 8.
        const first = this.reserve(4, 4) % 8 === 4 ? this.reserve(0, 1) : this.reserve(4, 4) + 4;
        this.reserve(node.count * 16, 1);
        this.#buffer.writeUInt32LE(node.count, first - 4);
        node.placed?.(first);
        return first - 4;
      }
    }
  }

  #placeTable(slots: readonly (FlatSlot | null)[]): number {
    let tableBytes = REFERENCE_BYTES;
    const places = slots.map((slot) => {
      if (slot === null) return 0;
      const bytes = 'node' in slot ? REFERENCE_BYTES : slot.bytes;
      const place = Math.ceil(tableBytes / bytes) * bytes;
      tableBytes = place + bytes;
      return place;
    });
    const vtableBytes = 4 + slots.length * 2;
    const vtable = this.reserve(vtableBytes, 2);
    const table = this.reserve(tableBytes, TABLE_ALIGNMENT);
    this.#buffer.writeUInt16LE(vtableBytes, vtable);
    this.#buffer.writeUInt16LE(tableBytes, vtable + 2);
    places.forEach((place, i) => this.#buffer.writeUInt16LE(place, vtable + 4 + i * 2));
    this.#buffer.writeInt32LE(table - vtable, table);
    slots.forEach((slot, i) => {
      if (slot === null) return;
      const position = table + places[i]!;
      if ('node' in slot) {
        this.placeReferenced(position, slot.node);
      } else {
        this.#buffer.writeUIntLE(slot.value, position, Math.min(slot.bytes, 6));
        slot.placed?.(position);
      }
    });
    return table;
  }
}
