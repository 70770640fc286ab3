/** Long lists of texts as JSON, kept for the next time: Grafana asks for the values of a label again with each dashboard that has it as a variable. */
import { JsonOutput } from './json-output.ts';

/** Shorter lists are written in the time that it takes to find them. */
const ITEMS_MIN = 500;
/** Of a list in memory, beside its texts. */
const ITEM_BYTES = 8;

export class KeptLists {
  readonly #bytesMax: number;
  /** By the list itself, which never changes; the one that was asked for last stands last. */
  readonly #kept = new Map<readonly string[], KeptList>();
  #bytes = 0;

  /** `bytesMax`: of all lists that are kept. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Writes strings with commas between. */
  async write(output: JsonOutput, items: readonly string[]): Promise<void> {
    if (items.length < ITEMS_MIN) return writeTexts(output, items);
    const kept = this.#kept.get(items);
    if (kept === undefined) return this.#writeNew(output, items);
    this.#kept.delete(items);
    this.#kept.set(items, kept);
    for (const part of kept.parts) await writePart(output, part);
  }

  async #writeNew(output: JsonOutput, items: readonly string[]): Promise<void> {
    const parts: Uint8Array[] = [];
    let bytes = ITEM_BYTES * items.length;
    const own = new JsonOutput(async (part) => {
      bytes += part.length;
      // What would not be kept is not held meanwhile.
      if (bytes <= this.#bytesMax) parts.push(part);
      await writePart(output, part);
    });
    await writeTexts(own, items);
    await own.flush();
    this.#keep(items, { parts, bytes });
  }

  #keep(items: readonly string[], list: KeptList): void {
    // Another request may have written the same meanwhile.
    if (list.bytes > this.#bytesMax || this.#kept.has(items)) return;
    this.#kept.set(items, list);
    this.#bytes += list.bytes;
    for (const [oldest, { bytes }] of this.#kept) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#kept.delete(oldest);
      this.#bytes -= bytes;
    }
  }
}

interface KeptList {
  readonly parts: readonly Uint8Array[];
  readonly bytes: number;
}

async function writeTexts(output: JsonOutput, items: readonly string[]): Promise<void> {
  for (let at = 0; at < items.length; ) {
    at = output.texts(items, at);
    if (output.isFull) await output.flush();
  }
}

async function writePart(output: JsonOutput, part: Uint8Array): Promise<void> {
  output.bytes(part);
  if (output.isFull) await output.flush();
}
