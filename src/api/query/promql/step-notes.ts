import type { PositionRange } from './ast.ts';
import type { EvaluationContext } from './context.ts';

/**
 * Annotations of a binary operator, of which upstream keeps only the last one of each step: `rank` says where in the order of elements the one
 * that gave it stands.
 */
export class StepNotes {
  readonly #context: EvaluationContext;
  readonly #at: PositionRange;
  readonly #byStep = new Map<number, Note>();

  constructor(context: EvaluationContext, at: PositionRange) {
    this.#context = context;
    this.#at = at;
  }

  note(step: number, rank: number, note: { info: string | undefined; warning: string | undefined }): void {
    // An addition that reconciles bounds tells of that; a collision of hints is an error of its operator and goes first.
    const last = this.#byStep.get(step);
    if (last !== undefined && last.rank > rank) return;
    this.#byStep.set(step, { rank, ...note });
  }

  give(): void {
    for (const { info, warning } of this.#byStep.values()) {
      if (info !== undefined) this.#context.annotations.inform(info, this.#at);
      else if (warning !== undefined) this.#context.annotations.warn(warning, this.#at);
    }
  }
}

interface Note {
  readonly rank: number;
  readonly info: string | undefined;
  readonly warning: string | undefined;
}
