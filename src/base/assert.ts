/**
 * States what must hold. A failure is our bug, never bad input: it is thrown as `AssertionError` and nothing catches it to go on.
 */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** A broken invariant of this program. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}
