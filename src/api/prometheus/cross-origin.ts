/** Cross-origin requests to the Prometheus API: pages of other sites that may read answers, as Prometheus lets them. */
import type { OutgoingHttpHeaders } from 'node:http';
import { createCors } from '../http/cors.ts';

/** Headers of every answer to a request from `origin`, preflights and errors included. */
export type CrossOrigin = (origin: string | undefined) => OutgoingHttpHeaders;

/** For `origins` as they are configured. */
export function createCrossOrigin(origins: readonly string[]): CrossOrigin {
  const cors = createCors(origins);
  return (origin) => {
    const allowed = cors?.answerHeaders({ origin })['Access-Control-Allow-Origin'];
    if (allowed === undefined) return {};
    return {
      'Access-Control-Allow-Origin': allowed,
      'Access-Control-Allow-Headers': 'Accept, Authorization, Content-Type, Origin',
      'Access-Control-Allow-Methods': 'GET, POST, OPTIONS',
      'Access-Control-Expose-Headers': 'Date, Retry-After, X-Treasury-Incomplete',
    };
  };
}
