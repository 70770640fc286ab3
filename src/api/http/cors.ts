/** Cross-origin requests (the CORS protocol of the Fetch standard): programs in browsers that send telemetry. */
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';

export interface Cors {
  /** For every answer to a request with these headers, errors too. */
  answerHeaders(request: IncomingHttpHeaders): OutgoingHttpHeaders;
  /** For the answer to a preflight, beside those of every answer. */
  preflightHeaders(request: IncomingHttpHeaders): OutgoingHttpHeaders;
}

/**
 * Makes the rules for `origins`: each as a browser writes it, in lower case, with at most one `*`, which stands for any part of a
 * host or port; `*` alone is every origin. Null without origins: no other origin gets in.
 */
export function createCors(origins: readonly string[]): Cors | null {
  if (origins.length === 0) return null;
  const matchers = origins.map(originMatcher);
  const isAllowed = (origin: string | undefined): origin is string =>
    origin !== undefined && matchers.some((matches) => matches(origin.toLowerCase()));
  return {
    answerHeaders({ origin }) {
      if (!isAllowed(origin)) return { Vary: 'Origin' };
      return {
        Vary: 'Origin',
        'Access-Control-Allow-Origin': origin,
        // Beacons of browsers always carry credentials. Nothing here acts on cookies.
        'Access-Control-Allow-Credentials': 'true',
        'Access-Control-Expose-Headers': 'Retry-After',
      };
    },
    preflightHeaders({ origin, ...request }) {
      const vary = { Vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers' };
      if (!isAllowed(origin)) return vary;
      const asked = headerNames(request['access-control-request-headers']);
      return {
        ...vary,
        'Access-Control-Allow-Methods': 'POST',
        ...(asked.length > 0 ? { 'Access-Control-Allow-Headers': asked.join(', ') } : {}),
        'Access-Control-Max-Age': String(MAX_AGE_SECONDS),
      };
    },
  };
}

/** The longest that any browser keeps a preflight's answer, but for Firefox's day. */
const MAX_AGE_SECONDS = 7200;

function originMatcher(pattern: string): (origin: string) => boolean {
  if (pattern === '*') return () => true;
  const [start = '', end] = pattern.split('*');
  if (end === undefined) return (origin) => origin === pattern;
  return (origin) =>
    origin.length >= start.length + end.length &&
    origin.startsWith(start) &&
    origin.endsWith(end) &&
    HOST_PART.test(origin.slice(start.length, origin.length - end.length));
}

/** What `*` stands for: nothing that could end a host and begin something else. */
const HOST_PART = /^[a-z0-9.:_-]*$/;

/** A token of RFC 9110. */
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/i;

function headerNames(list: string | undefined): readonly string[] {
  return (list ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => HEADER_NAME.test(name));
}
