/** What an exporter counts while it works. */
export interface Figures {
  sentBatches: number;
  sentItems: number;
  sentBytes: number;
  rejectedItems: number;
  orphanRows: number;
  retries: number;
  resentBatches: number;
  filteredItems: number;
  setAsideEntries: number;
  /** The last error; null once something was acknowledged after it. */
  error: string | null;
  /** Why the log cannot be read now, or null. */
  readFailure: string | null;
  /** Whether everything durable was read. */
  isAtEnd: boolean;
}

export function createFigures(): Figures {
  return {
    sentBatches: 0,
    sentItems: 0,
    sentBytes: 0,
    rejectedItems: 0,
    orphanRows: 0,
    retries: 0,
    resentBatches: 0,
    filteredItems: 0,
    setAsideEntries: 0,
    error: null,
    readFailure: null,
    isAtEnd: false,
  };
}
