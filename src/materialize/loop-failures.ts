/** Where in the materializer's loop something failed: the same error means different things in different places. */
import { AssertionError, errorMessage, OffsetOutOfRangeError } from '../base/index.ts';

/** The log could not be read. */
export class ReadFailure extends Error {}

/** A transaction could not be begun: the connection is not usable. */
export class BeginFailure extends Error {
  constructor(cause: unknown) {
    super(errorMessage(cause), { cause });
  }
}

/** An entry's rows may be in the writers in part. */
export class EntryFailure extends Error {
  readonly offset: bigint;

  constructor(offset: bigint, cause: unknown) {
    super(errorMessage(cause), { cause });
    this.offset = offset;
  }
}

/** Runs `read`; what it throws comes out as ReadFailure. */
export function reading<Result>(read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (error instanceof AssertionError) throw error;
    throw new ReadFailure(errorMessage(error), { cause: error });
  }
}

/** Reads again what was read before: that it was deleted since is thrown as it is, and does not stop the loop. */
export function readingAgain<Result>(read: () => Result): Result {
  try {
    return reading(read);
  } catch (error) {
    throw deletedBelow(error) !== null && error instanceof ReadFailure ? error.cause : error;
  }
}

/** Where the log begins now, when that is why a read failed: retention has deleted what came next. Null for any other failure. */
export function deletedBelow(failure: unknown): bigint | null {
  const cause = failure instanceof ReadFailure ? failure.cause : failure;
  if (!(cause instanceof OffsetOutOfRangeError)) return null;
  const firstOffset = cause.facts['firstOffset'];
  return typeof firstOffset === 'string' ? BigInt(firstOffset) : null;
}

/** A broken invariant of a projection is, like all that its rows can do, the fault of a range of entries. */
export async function flushing(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    throw error instanceof AssertionError ? new Error(error.message, { cause: error }) : error;
  }
}
