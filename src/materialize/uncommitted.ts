/** What the materializer's open transaction holds. */
export interface Uncommitted {
  open: boolean;
  rows: number;
  logBytes: number;
  decoded: number;
  repaired: number;
  firstAtMs: number;
  readonly offsets: bigint[];
  /** Offsets that the log no longer had, passed by. */
  lost: { readonly from: bigint; readonly to: bigint } | null;
}

/** None is open. */
export function emptyTransaction(): Uncommitted {
  return { open: false, rows: 0, logBytes: 0, decoded: 0, repaired: 0, firstAtMs: 0, offsets: [], lost: null };
}
