/** The three OpenTelemetry signals, in the order in which they are listed everywhere. */
export const SIGNALS = ['logs', 'traces', 'metrics'] as const;

export type Signal = (typeof SIGNALS)[number];

/** The number of a signal in a log entry. Written to disk: never renumber. 0 is an entry of no signal. */
export const SIGNAL_CODES = { logs: 1, traces: 2, metrics: 3 } as const satisfies Record<Signal, number>;

/** The signal of a log entry's number, or undefined for 0 and unknown numbers. */
export function signalOfCode(code: number): Signal | undefined {
  return SIGNALS.find((signal) => SIGNAL_CODES[signal] === code);
}
