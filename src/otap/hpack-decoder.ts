/**
 * Decodes HPACK header blocks (RFC 7541) of one sender in order: each block may refer to the headers of earlier ones. Table and
 * decoded headers are bounded, so a block costs no more memory than its limits say. Encoding is nobody's business here.
 */
import { BatchMalformedError, LIMITS } from '../base/index.ts';
import { decodeHuffman } from './hpack-huffman.ts';
import { HPACK_STATIC_TABLE, type HpackField } from './hpack-static-table.ts';

/** One decoded header. */
export interface HpackHeader extends HpackField {
  /** The sender marked it as never to be indexed, which section 7.1.3 of the RFC recommends for credentials. */
  readonly isSensitive: boolean;
}

/** Decodes the blocks of one sender. */
export interface HpackDecoder {
  /**
   * Decodes the block in `bytes` from `start` to `end` (exclusive; the caller vouches for the range). Throws BatchMalformedError;
   * the table is unknown from then on, so the decoder must not be used again.
   */
  decode(bytes: Uint8Array, start: number, end: number): HpackHeader[];
}

/** Bounds of a decoder, in bytes as section 4.1 of the RFC counts them (name + value + 32 for each header). */
export interface HpackLimits {
  /** The dynamic table, as agreed with the sender. */
  readonly tableBytesMax: number;
  /** All headers of one block. */
  readonly headersBytesMax: number;
}

const DEFAULT_LIMITS: HpackLimits = {
  tableBytesMax: LIMITS.hpackTableBytesMax,
  headersBytesMax: LIMITS.batchHeadersBytesMax,
};

/** A decoder with an empty dynamic table. */
export function createHpackDecoder(limits: HpackLimits = DEFAULT_LIMITS): HpackDecoder {
  const table = new DynamicTable(limits.tableBytesMax);
  return {
    decode(bytes, start, end) {
      const block = new HeaderBlock(bytes, start, end, limits.headersBytesMax);
      return decodeBlock(block, table, limits);
    },
  };
}

/** First bytes of the representations of section 6: the bits that tell them apart, and how many are left for a number. */
const INDEXED = 0x80;
const INDEXED_PREFIX_BITS = 7;
const INCREMENTAL = 0x40;
const INCREMENTAL_PREFIX_BITS = 6;
const SIZE_UPDATE = 0x20;
const SIZE_UPDATE_PREFIX_BITS = 5;
const NEVER_INDEXED = 0x10;
const LITERAL_PREFIX_BITS = 4;
const HUFFMAN = 0x80;
const STRING_PREFIX_BITS = 7;
/** Section 4.1: what an entry counts beside its text. */
const ENTRY_OVERHEAD_BYTES = 32;

function decodeBlock(block: HeaderBlock, table: DynamicTable, limits: HpackLimits): HpackHeader[] {
  const headers: HpackHeader[] = [];
  let headersBytes = 0;
  while (!block.isDone) {
    const first = block.peekByte();
    let header: HpackHeader;
    if ((first & INDEXED) !== 0) {
      const { name, value } = lookUp(block, table, block.readInteger(INDEXED_PREFIX_BITS));
      header = { name, value, isSensitive: false };
    } else if ((first & INCREMENTAL) !== 0) {
      header = readLiteral(block, table, INCREMENTAL_PREFIX_BITS, false);
      table.add(header);
    } else if ((first & SIZE_UPDATE) !== 0) {
      // Section 4.2: at the beginning of a block only.
      if (headers.length > 0) throw block.malformed('a table size update follows a header');
      const bytesMax = block.readInteger(SIZE_UPDATE_PREFIX_BITS);
      if (bytesMax > limits.tableBytesMax)
        throw block.malformed(`a table of ${bytesMax} bytes is above ${limits.tableBytesMax}`);
      table.resize(bytesMax);
      continue;
    } else {
      header = readLiteral(block, table, LITERAL_PREFIX_BITS, (first & NEVER_INDEXED) !== 0);
    }
    headersBytes += entryBytes(header);
    if (headersBytes > limits.headersBytesMax)
      throw block.malformed(`headers are above ${limits.headersBytesMax} bytes`);
    headers.push(header);
  }
  return headers;
}

function readLiteral(block: HeaderBlock, table: DynamicTable, prefixBits: number, isSensitive: boolean): HpackHeader {
  const index = block.readInteger(prefixBits);
  const name = index === 0 ? block.readString() : lookUp(block, table, index).name;
  return { name, value: block.readString(), isSensitive };
}

function lookUp(block: HeaderBlock, table: DynamicTable, index: number): HpackField {
  const field =
    index <= HPACK_STATIC_TABLE.length
      ? HPACK_STATIC_TABLE[index - 1]
      : table.at(index - HPACK_STATIC_TABLE.length - 1);
  if (field === undefined) throw block.malformed(`index ${index} is in no table`);
  return field;
}

function entryBytes(field: HpackField): number {
  return field.name.length + field.value.length + ENTRY_OVERHEAD_BYTES;
}

/** Section 2.3.2: first in, first out, bounded by bytes. The newest entry has index 0. */
class DynamicTable {
  #bytesMax: number;
  #bytes = 0;
  readonly #entries: HpackField[] = [];

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  at(index: number): HpackField | undefined {
    return this.#entries[index];
  }

  /** An entry larger than the table empties it (section 4.4). */
  add(field: HpackField): void {
    const bytes = entryBytes(field);
    this.#evict(this.#bytesMax - bytes);
    if (bytes > this.#bytesMax) return;
    this.#entries.unshift({ name: field.name, value: field.value });
    this.#bytes += bytes;
  }

  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#evict(bytesMax);
  }

  #evict(bytesMax: number): void {
    while (this.#bytes > bytesMax) {
      const oldest = this.#entries.pop();
      if (oldest === undefined) return;
      this.#bytes -= entryBytes(oldest);
    }
  }
}

/** Above this an integer is no index, length or size that a limit allows. */
const INTEGER_MAX = 2 ** 28;

/** The reading position in one block. */
class HeaderBlock {
  readonly #bytes: Uint8Array;
  #position: number;
  readonly #end: number;
  readonly #stringBytesMax: number;

  constructor(bytes: Uint8Array, start: number, end: number, stringBytesMax: number) {
    this.#bytes = bytes;
    this.#position = start;
    this.#end = end;
    this.#stringBytesMax = stringBytesMax;
  }

  get isDone(): boolean {
    return this.#position >= this.#end;
  }

  peekByte(): number {
    if (this.#position >= this.#end) throw this.malformed('the block is truncated');
    return this.#bytes[this.#position]!;
  }

  /** Section 5.1. */
  readInteger(prefixBits: number): number {
    const prefixMax = (1 << prefixBits) - 1;
    let value = this.peekByte() & prefixMax;
    this.#position++;
    if (value < prefixMax) return value;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.peekByte();
      this.#position++;
      value += (byte & 0x7f) * scale;
      if (value > INTEGER_MAX || scale > INTEGER_MAX) throw this.malformed('an integer is too large');
      if (byte < 0x80) return value;
    }
  }

  /** Section 5.2. */
  readString(): string {
    const isHuffman = (this.peekByte() & HUFFMAN) !== 0;
    const length = this.readInteger(STRING_PREFIX_BITS);
    const start = this.#position;
    if (length > this.#end - start) throw this.malformed('a string is truncated');
    if (length > this.#stringBytesMax) throw this.malformed(`a string is above ${this.#stringBytesMax} bytes`);
    this.#position += length;
    if (!isHuffman) return latin1(this.#bytes, start, length);
    const text = decodeHuffman(this.#bytes, start, this.#position);
    if (text === null) throw this.malformed('a Huffman code is malformed');
    return text;
  }

  malformed(reason: string): BatchMalformedError {
    return new BatchMalformedError(`Cannot read headers: ${reason}, at byte ${this.#position}`, {
      field: 'headers',
      position: this.#position,
    });
  }
}

function latin1(bytes: Uint8Array, start: number, length: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, length).toString('latin1');
}
