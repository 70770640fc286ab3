/**
 * Writes FlatBuffers from a description, front to back: the metadata of Arrow IPC messages, without an Arrow library in the server.
 * Parents come before children, so every reference points forward as the format demands. Buffers are small, so vtables are not
 * shared. The layout is part of the log's format (docs/format/segment.md): the same description always gives the same bytes.
 * Source: https://flatbuffers.dev/internals/ and format/Message.fbs, format/Schema.fbs of Apache Arrow.
 */

/** Called with the byte position of what was laid out, counted from the start of the buffer. */
type OnPlaced = (position: number) => void;

/** A field of a table; null leaves it at its default. */
export type FlatField =
  | null
  | { readonly kind: 'i8' | 'i16' | 'i32' | 'i64'; readonly value: number; readonly placed?: OnPlaced }
  /** `placed` gets the position of the first character. */
  | { readonly kind: 'string'; readonly value: string; readonly placed?: OnPlaced }
  | { readonly kind: 'table'; readonly fields: readonly FlatField[] }
  | { readonly kind: 'tables'; readonly items: readonly (readonly FlatField[])[] }
  /**
   * Structs of pairs of 64-bit integers, such as FieldNode and Buffer: `values` holds both numbers of each. `placed` gets the position
   * of the first.
   */
  | { readonly kind: 'pairs'; readonly values: readonly number[]; readonly placed?: OnPlaced };

/** Encodes one root table. The result is a multiple of 8 long and has to start at a multiple of 8. */
export function encodeFlatBuffer(root: readonly FlatField[]): Uint8Array {
  const writer = new FlatWriter();
  const reference = writer.reserve(REFERENCE_BYTES, REFERENCE_BYTES);
  writer.refer(reference, writer.table(root));
  return writer.finish();
}

/** A field of one signed or unsigned byte. */
export function i8(value: number): FlatField {
  return { kind: 'i8', value };
}

/** A field of 16 bits. */
export function i16(value: number): FlatField {
  return { kind: 'i16', value };
}

/** A field of 32 bits. */
export function i32(value: number): FlatField {
  return { kind: 'i32', value };
}

const SCALAR_BYTES = { i8: 1, i16: 2, i32: 4, i64: 8 } as const;
const REFERENCE_BYTES = 4;
const TABLE_ALIGNMENT = 8;
const FIRST_CAPACITY_BYTES = 1024;
const TWO_POW_32 = 4_294_967_296;

class FlatWriter {
  #bytes = new Uint8Array(FIRST_CAPACITY_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #end = 0;

  finish(): Uint8Array {
    this.reserve(0, 8);
    return this.#bytes.slice(0, this.#end);
  }

  /** Position of `count` zero bytes at the end, so that `lead` bytes behind it is a multiple of `alignment`. */
  reserve(count: number, alignment: number, lead = 0): number {
    const at = Math.ceil((this.#end + lead) / alignment) * alignment - lead;
    this.#end = at + count;
    if (this.#end > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#end));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }

  /** Makes the reference at `at` point to `target`. */
  refer(at: number, target: number): void {
    this.#view.setUint32(at, target - at, true);
  }

  table(fields: readonly FlatField[]): number {
    const { places, bytes } = tableLayout(fields);
    const vtableBytes = 4 + 2 * fields.length;
    const vtable = this.reserve(vtableBytes, 2);
    const start = this.reserve(bytes, TABLE_ALIGNMENT);
    this.#view.setUint16(vtable, vtableBytes, true);
    this.#view.setUint16(vtable + 2, bytes, true);
    places.forEach((place, index) => this.#view.setUint16(vtable + 4 + 2 * index, place, true));
    this.#view.setInt32(start, start - vtable, true);
    fields.forEach((field, index) => {
      if (field !== null) this.#field(field, start + places[index]!);
    });
    return start;
  }

  #field(field: NonNullable<FlatField>, at: number): void {
    switch (field.kind) {
      case 'string':
        return this.refer(at, this.#string(field.value, field.placed));
      case 'table':
        return this.refer(at, this.table(field.fields));
      case 'tables':
        return this.refer(at, this.#tables(field.items));
      case 'pairs':
        return this.refer(at, this.#pairs(field.values, field.placed));
      case 'i8':
        this.#view.setInt8(at, field.value);
        break;
      case 'i16':
        this.#view.setInt16(at, field.value, true);
        break;
      case 'i32':
        this.#view.setInt32(at, field.value, true);
        break;
      case 'i64':
        this.#long(at, field.value);
    }
    field.placed?.(at);
  }

  #long(at: number, value: number): void {
    this.#view.setUint32(at, value % TWO_POW_32, true);
    this.#view.setUint32(at + 4, Math.floor(value / TWO_POW_32), true);
  }

  #string(text: string, placed?: OnPlaced): number {
    const encoded = Buffer.from(text);
    const at = this.reserve(4 + encoded.length + 1, 4);
    this.#view.setUint32(at, encoded.length, true);
    this.#bytes.set(encoded, at + 4);
    placed?.(at + 4);
    return at;
  }

  #tables(items: readonly (readonly FlatField[])[]): number {
    const at = this.reserve(4 + REFERENCE_BYTES * items.length, 4);
    this.#view.setUint32(at, items.length, true);
    items.forEach((item, index) => {
      const target = this.table(item);
      this.refer(at + 4 + REFERENCE_BYTES * index, target);
    });
    return at;
  }

  #pairs(values: readonly number[], placed?: OnPlaced): number {
    // The count sits right before the first struct, which is aligned to 8.
    const at = this.reserve(4 + 8 * values.length, 8, 4);
    this.#view.setUint32(at, values.length / 2, true);
    values.forEach((value, index) => this.#long(at + 4 + 8 * index, value));
    placed?.(at + 4);
    return at;
  }
}

/** Where each field is in its table, each aligned to its size; 0 for one at its default. */
function tableLayout(fields: readonly FlatField[]): { places: number[]; bytes: number } {
  let bytes = REFERENCE_BYTES;
  const places = fields.map((field) => {
    if (field === null) return 0;
    const size = field.kind in SCALAR_BYTES ? SCALAR_BYTES[field.kind as keyof typeof SCALAR_BYTES] : REFERENCE_BYTES;
    const place = Math.ceil(bytes / size) * size;
    bytes = place + size;
    return place;
  });
  return { places, bytes };
}
