/** How many requests there were, how they ended and how long they took. */
import { performance } from 'node:perf_hooks';
import type { FailureType } from './types.ts';

/** How a request ended: Prometheus' type of its error, if there was one. */
export type RequestOutcome = 'success' | FailureType;

export interface RequestFigure {
  /** The path below `/api/v1/`. */
  readonly endpoint: string;
  /** Requests by how they ended; those that are not there did not occur. */
  readonly outcomes: Readonly<Partial<Record<RequestOutcome, number>>>;
  /** From their arrival to the last byte of their answers. */
  readonly secondsTotal: number;
}

export interface RequestFigures {
  /** A request arrived; the function is told how it ended, once. */
  begin(endpoint: string): (outcome: RequestOutcome) => void;
  /** Of all endpoints that were asked. */
  list(): readonly RequestFigure[];
}

export function createRequestFigures(): RequestFigures {
  const figures = new Map<string, { outcomes: Partial<Record<RequestOutcome, number>>; secondsTotal: number }>();
  return {
    begin(endpoint) {
      const begunMs = performance.now();
      return (outcome) => {
        const figure = figures.get(endpoint) ?? { outcomes: {}, secondsTotal: 0 };
        figures.set(endpoint, figure);
        figure.outcomes[outcome] = (figure.outcomes[outcome] ?? 0) + 1;
        figure.secondsTotal += (performance.now() - begunMs) / 1000;
      };
    },
    list: () => [...figures].map(([endpoint, figure]) => ({ endpoint, ...figure })),
  };
}
