import { ChildRows } from './child-rows.ts';
import type { AttributesEncoder } from './otlp-encode-values.ts';
import type { BackwardOutput } from './protobuf-backward-output.ts';

/** Rows of a table as messages inside those of their parents: events, links, data points, exemplars. */
export class ChildEncoder {
  readonly #output: BackwardOutput;
  readonly #children: ChildRows;
  readonly #putContent: (row: number) => void;

  constructor(output: BackwardOutput, children: ChildRows, putContent: (row: number) => void) {
    this.#output = output;
    this.#children = children;
    this.#putContent = putContent;
  }

  /** Rows that no parent came for. */
  get orphanRows(): number {
    return this.#children.untakenRows;
  }

  /** The children of a parent; a negative id has none. */
  put(tag: number, parent: number): void {
    const children = this.#children;
    if (!children.take(parent)) return;
    const { rows, from } = children;
    for (let i = children.to - 1; i >= from; i--) {
      const before = this.#output.length;
      this.#putContent(rows[i]!);
      this.#output.close(before, tag);
    }
  }
}

/** The rows of all these that have no parent. */
export function countOrphans(...encoders: readonly (ChildEncoder | AttributesEncoder | null)[]): number {
  return encoders.reduce((sum, encoder) => sum + (encoder?.orphanRows ?? 0), 0);
}
