/** Failures of the Prometheus API, in its words. */
import { TreasuryError } from '../../base/index.ts';
import { PromqlParseError } from '../query/promql/parse-error.ts';
import type { Failure, FailureType } from './types.ts';

/** A request that is answered with an error of a type that Prometheus has. */
export class RequestFailure extends Error {
  override readonly name = 'RequestFailure';
  readonly type: FailureType;

  constructor(type: FailureType, message: string) {
    super(message);
    this.type = type;
  }
}

/** A parameter that cannot be read. */
export function invalidParameter(name: string, reason: string): RequestFailure {
  return new RequestFailure('bad_data', `invalid parameter "${name}": ${reason}`);
}

/** What anything thrown while a request was worked on is to its client. `detail` is what only the log should say. */
export function failureOf(error: unknown): Failure & { readonly detail?: string } {
  if (error instanceof RequestFailure) return { type: error.type, message: error.message };
  if (error instanceof PromqlParseError) return { type: 'bad_data', message: error.message };
  if (error instanceof TreasuryError) {
    if (error.retryable) return { type: 'unavailable', message: error.message };
    if (error.code === 'TREASURY_QUERY_INVALID' || error.code === 'TREASURY_QUERY_LIMIT')
      return { type: 'execution', message: error.message };
  }
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { type: 'internal', message: 'The server failed: its log says why', detail };
}

/** Statuses by type of error. Grafana reads the JSON of 400, 422 and 503 alone. */
export const FAILURE_STATUSES: Readonly<Record<FailureType, number>> = {
  bad_data: 400,
  not_found: 404,
  execution: 422,
  canceled: 499,
  internal: 500,
  timeout: 503,
  unavailable: 503,
};
