/**
 * OTLP/JSON (the OTLP specification's "JSON Protobuf Encoding") as protobuf: one pass over the text, straight into the output.
 *
 * What is in the text is in the output, default values too, so presence and order are the sender's. A member that occurs twice is
 * written twice, and protobuf's own rules follow: the last scalar counts, messages merge, lists are joined.
 */
import { BatchTooLargeError, LIMITS, type Signal } from '../base/index.ts';
import { shorten } from './json-text.ts';
import { JsonReader } from './json-reader.ts';
import { JSON_REQUESTS, type JsonField, type JsonMessage } from './otlp-json-names.ts';
import { ProtobufOutput } from './otlp-json-output.ts';
import { writeScalar } from './otlp-json-values.ts';

/**
 * The same request in protobuf; no bytes are a request without anything. Invalid UTF-8 inside strings stays as it is, and values that
 * are nested deeper than LIMITS.cborDepthMax keep one level more, without content, so that the inspector finds the row. Throws
 * BatchMalformedError with the field and the position, BatchTooLargeError when the output is longer than `bytesMax`.
 */
export function otlpJsonToProtobuf(
  signal: Signal,
  bytes: Uint8Array,
  bytesMax: number = LIMITS.decompressedBytesMax,
): Uint8Array {
  if (bytes.length === 0) return new Uint8Array(0);
  return new Transcoder(JSON_REQUESTS[signal], bytes, bytesMax).run();
}

/** Between a field that is no list, or a list at its brackets, and its elements. */
const NO_INDEX = -1;
const NO_NAME = -1;

class Transcoder {
  readonly #request: JsonMessage;
  readonly #bytes: Buffer;
  readonly #reader: JsonReader;
  readonly #output: ProtobufOutput;
  /** The fields around the value at hand, each with the index in its list. */
  readonly #fields: JsonField[] = [];
  readonly #indexes: number[] = [];
  #depth = 0;
  /** Where the name of the unknown field at hand stands. */
  #unknownStart = NO_NAME;
  #unknownEnd = NO_NAME;

  constructor(request: JsonMessage, bytes: Uint8Array, bytesMax: number) {
    this.#request = request;
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#reader = new JsonReader(this.#bytes, () => this.#path());
    const tooLarge = () => this.#tooLarge(bytesMax);
    this.#output = new ProtobufOutput({ capacityBytes: bytes.length, bytesMax, tooLarge });
  }

  run(): Uint8Array {
    this.#writeMessage(this.#request, 0);
    this.#reader.expectEnd();
    return this.#output.finish();
  }

  /** The members of the object that comes next. `nesting` counts the arrays and maps of values around it. */
  #writeMessage(message: JsonMessage, nesting: number): void {
    const reader = this.#reader;
    reader.enterObject();
    for (let isFirst = true; reader.nextMember(isFirst); isFirst = false) {
      const field = message.find(reader.text, reader.textStart, reader.textEnd);
      if (field === null) {
        this.#skipUnknown();
      } else if (!reader.skipNull()) {
        this.#fields[this.#depth] = field;
        this.#indexes[this.#depth] = NO_INDEX;
        this.#depth++;
        this.#writeField(field, nesting);
        this.#depth--;
      }
    }
  }

  #writeField(field: JsonField, nesting: number): void {
    if (!field.isRepeated) {
      this.#output.writeVarint(field.tag);
      this.#writeValue(field, nesting);
    } else if (field.isPacked) {
      this.#output.writeVarint(field.tag);
      const start = this.#output.begin();
      this.#writeElements(field, nesting);
      this.#output.end(start);
    } else {
      this.#writeElements(field, nesting);
    }
  }

  #writeElements(field: JsonField, nesting: number): void {
    const reader = this.#reader;
    const level = this.#depth - 1;
    reader.enterArray();
    for (let index = 0; reader.nextElement(index === 0); index++) {
      this.#indexes[level] = index;
      if (!field.isPacked) this.#output.writeVarint(field.tag);
      this.#writeValue(field, nesting);
      this.#indexes[level] = NO_INDEX;
    }
  }

  #writeValue(field: JsonField, nesting: number): void {
    const { message } = field;
    if (message === null) {
      writeScalar(field, this.#reader, this.#output);
    } else if (!message.isNesting) {
      this.#writeNested(message, nesting);
    } else if (nesting < LIMITS.cborDepthMax) {
      this.#writeNested(message, nesting + 1);
    } else {
      this.#reader.skipObject();
      this.#output.writeVarint(0);
    }
  }

  #writeNested(message: JsonMessage, nesting: number): void {
    const start = this.#output.begin();
    this.#writeMessage(message, nesting);
    this.#output.end(start);
  }

  #skipUnknown(): void {
    const reader = this.#reader;
    this.#unknownStart = reader.tokenStart;
    this.#unknownEnd = reader.tokenEnd;
    reader.skipValue();
    this.#unknownStart = NO_NAME;
  }

  #path(): string {
    const names = this.#fields.slice(0, this.#depth).map(({ name }, level) => {
      const index = this.#indexes[level]!;
      return index === NO_INDEX ? name : `${name}[${index}]`;
    });
    if (this.#unknownStart !== NO_NAME) names.push(shorten(this.#bytes, this.#unknownStart, this.#unknownEnd));
    return names.length === 0 ? this.#request.name : names.join('.');
  }

  #tooLarge(bytesMax: number): BatchTooLargeError {
    const field = this.#path();
    const { position } = this.#reader;
    const reason = `the request is longer than ${bytesMax} bytes in protobuf`;
    return new BatchTooLargeError(`Cannot read ${field}: ${reason}, at byte ${position}`, { field, position });
  }
}
