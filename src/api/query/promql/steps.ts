/** The times at which an expression is evaluated, all in Unix milliseconds: `startMs`, then one every `stepMs`. */
export interface Steps {
  readonly startMs: number;
  /** As asked: the last step is the last one that does not pass it. */
  readonly endMs: number;
  /** At least 1. */
  readonly stepMs: number;
  /** How many there are; 0 when the end lies before the start. */
  readonly count: number;
}

export function stepsBetween(startMs: number, endMs: number, stepMs: number): Steps {
  const count = endMs < startMs ? 0 : Math.floor((endMs - startMs) / stepMs) + 1;
  return { startMs, endMs, stepMs, count };
}

/** Only the first step: where what does not change from step to step is evaluated. */
export function firstStep(steps: Steps): Steps {
  return { startMs: steps.startMs, endMs: steps.startMs, stepMs: steps.stepMs, count: 1 };
}

/** One time asked for, and not a range that happens to hold one step: only there has a vector an order. */
export function isInstant(steps: Steps): boolean {
  return steps.startMs === steps.endMs;
}

export function lastStepMs(steps: Steps): number {
  return steps.startMs + (steps.count - 1) * steps.stepMs;
}
