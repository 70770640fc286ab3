/**
 * Record batches and dictionaries as IPC messages: metadata from a template whose numbers are patched once the body is written,
 * bodies uncompressed.
 */
import { type FlatField, i16, i8 } from '../base/index.ts';
import { encapsulate, METADATA_VERSION_V5, PREFIX_BYTES } from './arrow-field-types.ts';
import type { ByteOutput } from './byte-output.ts';

const HEADER_DICTIONARY_BATCH = 2;
const HEADER_RECORD_BATCH = 3;

/** The metadata of messages with so many arrays and buffers. */
export interface MessageTemplate {
  readonly bytes: Uint8Array;
  /** Where the numbers are: i64, from the start of `bytes`. */
  readonly bodyLength: number;
  readonly rows: number;
  /** Pairs of (length, null count). */
  readonly nodes: number;
  /** Pairs of (offset in the body, length). */
  readonly buffers: number;
}

/** How many arrays and buffers a message has. */
interface MessageShape {
  readonly nodes: number;
  readonly buffers: number;
}

export function recordBatchTemplate(shape: MessageShape): MessageTemplate {
  return template(HEADER_RECORD_BATCH, shape, (recordBatch) => recordBatch);
}

/** A message that begins dictionary `id` or, `isDelta`, extends it. */
export function dictionaryTemplate(id: number, isDelta: boolean, shape: MessageShape): MessageTemplate {
  return template(HEADER_DICTIONARY_BATCH, shape, (recordBatch) => [
    { kind: 'i64', value: id },
    { kind: 'table', fields: recordBatch },
    i8(isDelta ? 1 : 0),
  ]);
}

function template(
  headerType: number,
  shape: MessageShape,
  header: (recordBatch: FlatField[]) => FlatField[],
): MessageTemplate {
  const at = { bodyLength: 0, rows: 0, nodes: 0, buffers: 0 };
  const mark = (name: keyof typeof at) => (position: number) => {
    at[name] = position + PREFIX_BYTES;
  };
  const recordBatch: FlatField[] = [
    { kind: 'i64', value: 0, placed: mark('rows') },
    { kind: 'pairs', values: zeroPairs(shape.nodes), placed: mark('nodes') },
    { kind: 'pairs', values: zeroPairs(shape.buffers), placed: mark('buffers') },
  ];
  const bytes = encapsulate([
    i16(METADATA_VERSION_V5),
    i8(headerType),
    { kind: 'table', fields: header(recordBatch) },
    { kind: 'i64', value: 0, placed: mark('bodyLength') },
  ]);
  return { bytes, ...at };
}

function zeroPairs(count: number): number[] {
  return Array<number>(count * 2).fill(0);
}

/** Writes one message: its arrays and buffers one after the other, in the order of the schema's fields. */
export class MessageOutput {
  readonly output: ByteOutput;
  readonly #template: MessageTemplate;
  readonly #start: number;
  readonly #bodyStart: number;
  #nodes = 0;
  #buffers = 0;

  /** Begins a message at the output's end, which is aligned. */
  constructor(output: ByteOutput, messageTemplate: MessageTemplate, rows: number) {
    this.output = output;
    this.#template = messageTemplate;
    this.#start = output.write(messageTemplate.bytes);
    this.#bodyStart = output.end;
    output.setI64(this.#start + messageTemplate.rows, rows);
  }

  /** The next array. */
  node(length: number, nullCount: number): void {
    const at = this.#start + this.#template.nodes + 16 * this.#nodes++;
    this.output.setI64(at, length);
    this.output.setI64(at + 8, nullCount);
  }

  /** The next buffer: from `start` to the output's end, which is aligned then. */
  endBuffer(start: number): void {
    const { output } = this;
    const at = this.#start + this.#template.buffers + 16 * this.#buffers++;
    output.setI64(at, start - this.#bodyStart);
    output.setI64(at + 8, output.end - start);
    output.align();
  }

  /** The next buffer, empty: a validity where no row is null. */
  noBuffer(): void {
    this.endBuffer(this.output.end);
  }

  /** Ends the message. */
  finish(): void {
    this.output.setI64(this.#start + this.#template.bodyLength, this.output.end - this.#bodyStart);
  }
}
