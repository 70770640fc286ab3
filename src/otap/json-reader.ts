/**
 * A pull reader of JSON (RFC 8259) in UTF-8: the caller asks for what it expects and gets positions instead of copies. It keeps no
 * values, so numbers stay as they are written, and what is skipped takes no stack however deep it is nested.
 */
import { BatchMalformedError } from '../base/index.ts';
import { JsonNumber } from './json-number.ts';
import {
  byteSet,
  describeByte,
  HEX_VALUES,
  isDigit,
  isHighSurrogate,
  isSurrogate,
  joinSurrogates,
  NOT_HEX,
  putUtf8,
  shorten,
} from './json-text.ts';

const JSON_BYTES = {
  QUOTE: 0x22,
  COMMA: 0x2c,
  MINUS: 0x2d,
  COLON: 0x3a,
  ARRAY: 0x5b,
  BACKSLASH: 0x5c,
  ARRAY_END: 0x5d,
  FALSE: 0x66,
  NULL: 0x6e,
  TRUE: 0x74,
  OBJECT: 0x7b,
  OBJECT_END: 0x7d,
} as const;

/** What `peek()` gives behind the last byte. */
const NO_BYTE = -1;

const FIRST_PRINTABLE = 0x20;
const REPLACEMENT_CHARACTER = 0xfffd;
const BYTE_ORDER_MARK: readonly number[] = [0xef, 0xbb, 0xbf];
const UNICODE_ESCAPE = 0x75;
/** Of `\uXXXX`. */
const UNICODE_ESCAPE_BYTES = 6;

const LITERALS = { true: Buffer.from('true'), false: Buffer.from('false'), null: Buffer.from('null') } as const;

const isSpace = byteSet(' \t\n\r');
const isNumberByte = byteSet('0123456789+-.eE');
/** Bytes that end a run of plain characters in a string. */
const isStop = byteSet('"\\').fill(1, 0, FIRST_PRINTABLE);

/** The byte that `\x` stands for; 0 where there is no such escape. `\u` is read apart. */
const escapedBytes = new Uint8Array(256);
for (const [letter, character] of ['""', '\\\\', '//', 'b\b', 'f\f', 'n\n', 'r\r', 't\t']) {
  escapedBytes[letter!.charCodeAt(0)] = character!.charCodeAt(0);
}

export class JsonReader {
  readonly #bytes: Buffer;
  readonly #field: () => string;
  /** The last number that `readNumber` found. */
  readonly number: JsonNumber = new JsonNumber();
  #scratch: Buffer = Buffer.alloc(0);
  #hasEscapes = false;
  /** Where the next read begins. */
  position = 0;
  /** The last string (unescaped) or number: `text` from `textStart` to `textEnd`, until the next one is read. */
  text: Buffer;
  textStart = 0;
  textEnd = 0;
  /** Where the last string or number stands in the input, without quotes. */
  tokenStart = 0;
  tokenEnd = 0;

  /** Reads `bytes`, less a byte order mark; `field` names the place for errors. */
  constructor(bytes: Buffer, field: () => string) {
    this.#bytes = bytes;
    this.#field = field;
    this.text = bytes;
    if (BYTE_ORDER_MARK.every((byte, at) => bytes[at] === byte)) this.position = BYTE_ORDER_MARK.length;
  }

  /** The error to throw for the field at hand. */
  malformed(reason: string, position: number = this.position): BatchMalformedError {
    const field = this.#field();
    return new BatchMalformedError(`Cannot read ${field}: ${reason}, at byte ${position}`, { field, position });
  }

  /** The error for the value that comes next: it is not `expected`. */
  unexpected(expected: string): BatchMalformedError {
    return this.malformed(`it is ${this.#describeNext()}, not ${expected}`);
  }

  /** The error for the last string or number: its value is not `expected`. */
  unexpectedText(expected: string): BatchMalformedError {
    const value = JSON.stringify(shorten(this.text, this.textStart, this.textEnd));
    return this.malformed(`its value is ${value}, not ${expected}`, this.tokenStart);
  }

  /** The first byte of what comes next, behind white space; -1 at the end. */
  peek(): number {
    const bytes = this.#bytes;
    const end = bytes.length;
    let at = this.position;
    while (at < end) {
      const byte = bytes[at]!;
      if (isSpace[byte] === 0) {
        this.position = at;
        return byte;
      }
      at++;
    }
    this.position = at;
    return NO_BYTE;
  }

  /** Throws BatchMalformedError unless only white space follows. */
  expectEnd(): void {
    if (this.peek() !== NO_BYTE) throw this.malformed(`${this.#describeNext()} follows it`);
  }

  enterObject(): void {
    if (this.peek() !== JSON_BYTES.OBJECT) throw this.unexpected('an object');
    this.position++;
  }

  /** Skips a value that must be an object. */
  skipObject(): void {
    if (this.peek() !== JSON_BYTES.OBJECT) throw this.unexpected('an object');
    this.skipValue();
  }

  /** Goes to the next member of an object and reads its name to `text`; false behind the last. */
  nextMember(isFirst: boolean): boolean {
    let byte = this.peek();
    if (byte === JSON_BYTES.OBJECT_END) {
      this.position++;
      return false;
    }
    if (!isFirst) {
      if (byte !== JSON_BYTES.COMMA) throw this.malformed(`${this.#describeNext()} follows a member, not , or }`);
      this.position++;
      byte = this.peek();
    }
    if (byte !== JSON_BYTES.QUOTE) throw this.malformed(`${this.#describeNext()} stands where a name must be`);
    this.#readText();
    if (this.peek() !== JSON_BYTES.COLON) throw this.malformed(`${this.#describeNext()} follows a name, not :`);
    this.position++;
    return true;
  }

  enterArray(): void {
    if (this.peek() !== JSON_BYTES.ARRAY) throw this.unexpected('an array');
    this.position++;
  }

  /** Goes to the next element of an array; false behind the last. */
  nextElement(isFirst: boolean): boolean {
    const byte = this.peek();
    if (byte === JSON_BYTES.ARRAY_END) {
      this.position++;
      return false;
    }
    if (isFirst) return true;
    if (byte !== JSON_BYTES.COMMA) throw this.malformed(`${this.#describeNext()} follows an element, not , or ]`);
    this.position++;
    return true;
  }

  /** Reads a string to `text`. */
  readString(): void {
    if (this.peek() !== JSON_BYTES.QUOTE) throw this.unexpected('a string');
    this.#readText();
  }

  /**
   * Reads a number, or a string, to `text`; whether that is a number, in `number` then, is the result. A bare text that is none is
   * refused here.
   */
  readNumber(): boolean {
    const byte = this.peek();
    if (byte === JSON_BYTES.QUOTE) {
      this.#readText();
      return this.number.scan(this.text, this.textStart, this.textEnd);
    }
    if (byte !== JSON_BYTES.MINUS && !isDigit(byte)) throw this.unexpected('a number');
    this.#scanNumber();
    return true;
  }

  readBoolean(): boolean {
    const byte = this.peek();
    if (byte === JSON_BYTES.TRUE) this.#skipLiteral(LITERALS.true);
    else if (byte === JSON_BYTES.FALSE) this.#skipLiteral(LITERALS.false);
    else throw this.unexpected('true or false');
    return byte === JSON_BYTES.TRUE;
  }

  /** Skips null; false, at the value, when it is another one. */
  skipNull(): boolean {
    if (this.peek() !== JSON_BYTES.NULL) return false;
    this.#skipLiteral(LITERALS.null);
    return true;
  }

  /** Skips one value with all that is in it, checking that it is JSON. */
  skipValue(): void {
    const nesting = new NestingBits();
    let isFirst = this.#skipStart(nesting);
    while (nesting.depth > 0) {
      if (nesting.isObject() ? this.nextMember(isFirst) : this.nextElement(isFirst)) {
        isFirst = this.#skipStart(nesting);
      } else {
        nesting.pop();
        isFirst = false;
      }
    }
  }

  /** Skips a scalar, or the beginning of an object or array, which it pushes; true for the latter. */
  #skipStart(nesting: NestingBits): boolean {
    const byte = this.peek();
    switch (byte) {
      case JSON_BYTES.OBJECT:
      case JSON_BYTES.ARRAY:
        this.position++;
        nesting.push(byte === JSON_BYTES.OBJECT);
        return true;
      case JSON_BYTES.QUOTE:
        this.#scanString();
        return false;
      case JSON_BYTES.TRUE:
        this.#skipLiteral(LITERALS.true);
        return false;
      case JSON_BYTES.FALSE:
        this.#skipLiteral(LITERALS.false);
        return false;
      case JSON_BYTES.NULL:
        this.#skipLiteral(LITERALS.null);
        return false;
      default:
        if (byte !== JSON_BYTES.MINUS && !isDigit(byte)) throw this.unexpected('a value');
        this.#scanNumber();
        return false;
    }
  }

  #skipLiteral(literal: Buffer): void {
    const end = this.position + literal.length;
    if (literal.compare(this.#bytes, this.position, Math.min(end, this.#bytes.length)) !== 0) {
      throw this.unexpected(`${literal.toString()}`);
    }
    this.position = end;
  }

  #scanNumber(): void {
    const bytes = this.#bytes;
    let at = this.position;
    while (at < bytes.length && isNumberByte[bytes[at]!] === 1) at++;
    this.text = bytes;
    this.textStart = this.tokenStart = this.position;
    this.textEnd = this.tokenEnd = this.position = at;
    if (!this.number.scan(bytes, this.textStart, at)) throw this.unexpectedText('a number');
  }

  #readText(): void {
    this.#scanString();
    if (this.#hasEscapes) {
      this.#unescape();
    } else {
      this.text = this.#bytes;
      this.textStart = this.tokenStart;
      this.textEnd = this.tokenEnd;
    }
  }

  /** Goes from a quote behind the closing one. */
  #scanString(): void {
    const bytes = this.#bytes;
    const end = bytes.length;
    const start = this.position + 1;
    let at = start;
    this.#hasEscapes = false;
    for (;;) {
      while (at < end && isStop[bytes[at]!] === 0) at++;
      if (at >= end) throw this.malformed('a string does not end', start - 1);
      const byte = bytes[at]!;
      if (byte === JSON_BYTES.QUOTE) break;
      if (byte !== JSON_BYTES.BACKSLASH) {
        throw this.malformed(`a string has the control character ${describeByte(byte)}`, at);
      }
      this.#hasEscapes = true;
      at = this.#escapeEnd(at);
    }
    this.tokenStart = start;
    this.tokenEnd = at;
    this.position = at + 1;
  }

  #escapeEnd(at: number): number {
    const bytes = this.#bytes;
    const letter = bytes[at + 1] ?? 0;
    if (escapedBytes[letter] !== 0) return at + 2;
    const end = at + UNICODE_ESCAPE_BYTES;
    if (letter !== UNICODE_ESCAPE) throw this.malformed('a string has a backslash that begins no escape', at);
    for (let digit = at + 2; digit < end; digit++) {
      if ((HEX_VALUES[bytes[digit] ?? 0] ?? NOT_HEX) === NOT_HEX) {
        throw this.malformed('a string has \\u without 4 hex digits', at);
      }
    }
    return end;
  }

  /** The last scanned string to `text`. Its escapes are checked, and none gets longer. */
  #unescape(): void {
    const bytes = this.#bytes;
    const end = this.tokenEnd;
    if (this.#scratch.length < end - this.tokenStart) this.#scratch = Buffer.allocUnsafeSlow(end - this.tokenStart);
    const text = this.#scratch;
    let length = 0;
    for (let at = this.tokenStart; at < end; ) {
      const byte = bytes[at]!;
      if (byte !== JSON_BYTES.BACKSLASH) {
        text[length++] = byte;
        at++;
      } else if (bytes[at + 1] !== UNICODE_ESCAPE) {
        text[length++] = escapedBytes[bytes[at + 1]!]!;
        at += 2;
      } else {
        let character = this.#codeUnit(at);
        at += UNICODE_ESCAPE_BYTES;
        if (isHighSurrogate(character) && this.#isLowSurrogateEscape(at)) {
          character = joinSurrogates(character, this.#codeUnit(at));
          at += UNICODE_ESCAPE_BYTES;
        } else if (isSurrogate(character)) {
          character = REPLACEMENT_CHARACTER;
        }
        length = putUtf8(text, length, character);
      }
    }
    this.text = text;
    this.textStart = 0;
    this.textEnd = length;
  }

  #isLowSurrogateEscape(at: number): boolean {
    const bytes = this.#bytes;
    if (bytes[at] !== JSON_BYTES.BACKSLASH || bytes[at + 1] !== UNICODE_ESCAPE) return false;
    const unit = this.#codeUnit(at);
    return isSurrogate(unit) && !isHighSurrogate(unit);
  }

  #codeUnit(at: number): number {
    const bytes = this.#bytes;
    let unit = 0;
    for (let digit = at + 2; digit < at + UNICODE_ESCAPE_BYTES; digit++) unit = unit * 16 + HEX_VALUES[bytes[digit]!]!;
    return unit;
  }

  #describeNext(): string {
    const byte = this.peek();
    switch (byte) {
      case NO_BYTE:
        return 'the end';
      case JSON_BYTES.OBJECT:
        return 'an object';
      case JSON_BYTES.ARRAY:
        return 'an array';
      case JSON_BYTES.QUOTE:
        return 'a string';
      default:
        if (byte === JSON_BYTES.MINUS || isDigit(byte)) return 'a number';
        for (const [name, literal] of Object.entries(LITERALS)) {
          if (this.#bytes.subarray(this.position, this.position + literal.length).equals(literal)) return name;
        }
        return describeByte(byte);
    }
  }
}

/** Which of the values around the one at hand are objects: one bit each, so that a body cannot claim more than it is long. */
class NestingBits {
  #bits = new Uint8Array(8);
  depth = 0;

  push(isObject: boolean): void {
    const at = this.depth >>> 3;
    if (at === this.#bits.length) {
      const bits = new Uint8Array(at * 2);
      bits.set(this.#bits);
      this.#bits = bits;
    }
    const bit = 1 << (this.depth & 7);
    this.#bits[at] = isObject ? this.#bits[at]! | bit : this.#bits[at]! & ~bit;
    this.depth++;
  }

  pop(): void {
    this.depth--;
  }

  isObject(): boolean {
    const top = this.depth - 1;
    return (this.#bits[top >>> 3]! & (1 << (top & 7))) !== 0;
  }
}
