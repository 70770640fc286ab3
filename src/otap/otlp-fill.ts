import type { InspectedRequest } from './otlp-inspector.ts';
import type { OtlpMessage } from './otlp-messages.ts';
import type { RepairCount } from './otlp-strings.ts';
import { OtlpWire } from './otlp-wire.ts';

/** What all tables of a batch share while they are filled from one request. */
export class OtlpFill {
  readonly wire: OtlpWire;
  readonly repairs: RepairCount = { repairedStrings: 0 };
  readonly #inspected: InspectedRequest;

  /** `inspected` is what the inspector said of `bytes`. */
  constructor(bytes: Uint8Array, inspected: InspectedRequest) {
    this.wire = new OtlpWire(bytes);
    this.#inspected = inspected;
  }

  /** How many rows (or elements) of a message there are at most. */
  countOf(message: OtlpMessage): number {
    return this.#inspected.counts[message.id]!;
  }

  /** Whether the row whose content begins here is left out. */
  isRejected(start: number): boolean {
    const { rejectedAt } = this.#inspected;
    return rejectedAt !== null && rejectedAt.has(start);
  }
}
