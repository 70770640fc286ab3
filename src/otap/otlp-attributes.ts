import type { AttributesTable } from './canonical.ts';
import type { OtlpFill } from './otlp-fill.ts';
import type { OtlpMessage } from './otlp-messages.ts';
import { StringFiller } from './otlp-strings.ts';
import { ValueFiller } from './otlp-values.ts';
import type { OtlpWire } from './otlp-wire.ts';

const KEY = 1;
const VALUE = 2;

/** An attributes table while it is filled. Attributes without a key or a value are rows like others. */
export class AttributesFiller {
  readonly #fill: OtlpFill;
  readonly #wire: OtlpWire;
  readonly #parentId: Uint32Array;
  readonly #key: StringFiller;
  readonly #value: ValueFiller;
  #rowCount = 0;

  /** `message` is the KeyValue message whose number bounds the rows. */
  constructor(fill: OtlpFill, message: OtlpMessage) {
    const capacity = fill.countOf(message);
    this.#fill = fill;
    this.#wire = fill.wire;
    this.#parentId = new Uint32Array(capacity);
    this.#key = new StringFiller(fill.wire.bytes, capacity);
    this.#value = new ValueFiller(fill, capacity);
  }

  /** Reads a KeyValue behind its tag. */
  read(parent: number): void {
    const wire = this.#wire;
    const end = wire.valueEnd();
    const start = wire.at;
    const row = this.#rowCount++;
    this.#parentId[row] = parent;
    let values = 0;
    let valueStart = 0;
    let valueEnd = 0;
    while (wire.at < end) {
      const tag = wire.tag();
      switch (tag >>> 3) {
        case KEY: {
          const keyEnd = wire.valueEnd();
          this.#key.set(row, wire.at, keyEnd);
          wire.at = keyEnd;
          break;
        }
        case VALUE:
          valueEnd = wire.valueEnd();
          valueStart = wire.at;
          wire.at = valueEnd;
          values++;
          break;
        default:
          wire.skip(tag);
      }
    }
    if (values === 1) this.#value.read(row, valueStart, valueEnd);
    else if (values > 1) this.#value.readOccurrences(row, VALUE, start, end);
    wire.at = end;
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  finish(): AttributesTable | null {
    const rowCount = this.#rowCount;
    if (rowCount === 0) return null;
    return {
      rowCount,
      parentId: this.#parentId.subarray(0, rowCount),
      parentValidity: null,
      key: this.#key.finishKeys(rowCount, this.#fill.repairs),
      ...this.#value.finish(rowCount),
    };
  }
}
