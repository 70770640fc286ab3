/**
 * Writes the metadata of Arrow IPC messages: FlatBuffers tables from a description, front to back. Tables are small (one a batch),
 * so vtables are not shared.
 * Source: https://flatbuffers.dev/internals/ and format/Message.fbs, format/Schema.fbs of Apache Arrow.
 */

/** A field of a table; null leaves it at its default. */
export type FlatField =
  | null
  | { readonly kind: 'i8' | 'i16' | 'i32' | 'i64'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'table'; readonly fields: readonly FlatField[] }
  | { readonly kind: 'tables'; readonly items: readonly (readonly FlatField[])[] }
  /** Structs of pairs of 64-bit integers, such as FieldNode and Buffer: `values` holds both numbers of each. */
  | { readonly kind: 'pairs'; readonly values: readonly number[] };

/** Encodes one root table. The result is a multiple of 8 long and has to start at a multiple of 8. */
export function encodeFlatBuffer(root: readonly FlatField[]): Uint8Array {
  const writer = new FlatWriter();
  writer.reserve(4);
  writer.patch(0, writer.table(root));
  return writer.finish();
}

const SIZES = { i8: 1, i16: 2, i32: 4, i64: 8 } as const;
const OFFSET_BYTES = 4;
const TWO_POW_32 = 4_294_967_296;

class FlatWriter {
  #bytes = new Uint8Array(1024);
  #view = new DataView(this.#bytes.buffer);
  #end = 0;

  finish(): Uint8Array {
    this.#align(8, 0);
    return this.#bytes.subarray(0, this.#end);
  }

  reserve(count: number): number {
    const at = this.#end;
    this.#end += count;
    if (this.#end > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#end));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }

  /** Makes the unsigned offset at `at` point to `target`. */
  patch(at: number, target: number): void {
    this.#view.setUint32(at, target - at, true);
  }

  table(fields: readonly FlatField[]): number {
    const layout = tableLayout(fields);
    const vtableBytes = 4 + 2 * fields.length;
    this.#align(8, vtableBytes % 8);
    const vtable = this.reserve(vtableBytes);
    const start = this.reserve(layout.bytes);
    this.#view.setUint16(vtable, vtableBytes, true);
    this.#view.setUint16(vtable + 2, layout.bytes, true);
    this.#view.setInt32(start, start - vtable, true);
    fields.forEach((field, index) => {
      if (field !== null) this.#view.setUint16(vtable + 4 + 2 * index, layout.offsets[index] as number, true);
    });
    fields.forEach((field, index) => {
      if (field !== null) this.#field(field, start + (layout.offsets[index] as number));
    });
    return start;
  }

  #field(field: NonNullable<FlatField>, at: number): void {
    switch (field.kind) {
      case 'i8':
        this.#view.setInt8(at, field.value);
        return;
      case 'i16':
        this.#view.setInt16(at, field.value, true);
        return;
      case 'i32':
        this.#view.setInt32(at, field.value, true);
        return;
      case 'i64':
        this.#long(at, field.value);
        return;
      case 'string':
        this.patch(at, this.#string(field.value));
        return;
      case 'table':
        this.patch(at, this.table(field.fields));
        return;
      case 'tables':
        this.patch(at, this.#tables(field.items));
        return;
      case 'pairs':
        this.patch(at, this.#pairs(field.values));
        return;
    }
  }

  #long(at: number, value: number): void {
    this.#view.setUint32(at, value % TWO_POW_32, true);
    this.#view.setUint32(at + 4, Math.floor(value / TWO_POW_32), true);
  }

  #string(text: string): number {
    const encoded = Buffer.from(text);
    this.#align(4, 0);
    const at = this.reserve(4 + encoded.length + 1);
    this.#view.setUint32(at, encoded.length, true);
    this.#bytes.set(encoded, at + 4);
    return at;
  }

  #tables(items: readonly (readonly FlatField[])[]): number {
    this.#align(4, 0);
    const at = this.reserve(4 + OFFSET_BYTES * items.length);
    this.#view.setUint32(at, items.length, true);
    items.forEach((item, index) => {
      const target = this.table(item);
      this.patch(at + 4 + OFFSET_BYTES * index, target);
    });
    return at;
  }

  #pairs(values: readonly number[]): number {
    this.#align(8, 4);
    const at = this.reserve(4 + 8 * values.length);
    this.#view.setUint32(at, values.length / 2, true);
    values.forEach((value, index) => {
      this.#long(at + 4 + 8 * index, value);
    });
    return at;
  }

  /** Moves the end so that `lead` bytes later it is a multiple of `alignment`. */
  #align(alignment: number, lead: number): void {
    this.reserve((alignment - ((this.#end + lead) % alignment)) % alignment);
  }
}

function tableLayout(fields: readonly FlatField[]): { offsets: number[]; bytes: number } {
  const offsets: number[] = [];
  let end = OFFSET_BYTES;
  for (const field of fields) {
    const size = field === null ? 0 : fieldBytes(field);
    if (size > 0) end = Math.ceil(end / size) * size;
    offsets.push(end);
    end += size;
  }
  return { offsets, bytes: Math.ceil(end / 4) * 4 };
}

function fieldBytes(field: NonNullable<FlatField>): number {
  return field.kind in SIZES ? SIZES[field.kind as keyof typeof SIZES] : OFFSET_BYTES;
}
