/** Writes the answers of the OTLP/HTTP port, and decides whether their connection goes on. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { LIMITS } from '../../base/index.ts';
import type { OtlpContentType } from '../../otap/index.ts';
import { encodeStatus } from '../otlp/otlp-answers.ts';
import type { OtlpHttpError } from './otlp-error.ts';

/** A request and the way back to its sender. */
export interface OtlpExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** How the answer is written. */
  readonly contentType: OtlpContentType;
  /** Of every answer to this request. */
  readonly headers: OutgoingHttpHeaders;
  /** Whether the sender keeps its body back until it is told to go on. */
  isBodyHeldBack: boolean;
  /** Whether the connection should serve no other request. */
  readonly isLast: () => boolean;
  /** Whether the rest of the body can be read at all. */
  readonly isBroken: () => boolean;
}

/** Answers with `body`, null for an answer without one. Does nothing when the sender has left. */
export function sendAnswer(
  exchange: OtlpExchange,
  status: number,
  body: Buffer | null,
  headers: OutgoingHttpHeaders = {},
): void {
  const { request, response, contentType } = exchange;
  if (response.destroyed) return;
  const restBytes = restOfBody(request);
  const isRestLost = exchange.isBodyHeldBack || exchange.isBroken() || restBytes > LIMITS.otlpHttpDiscardBytesMax;
  const closes = exchange.isLast() || (restBytes > 0 && isRestLost);
  response.writeHead(status, {
    ...exchange.headers,
    ...(body === null ? {} : { 'Content-Type': contentType, 'Content-Length': body.length }),
    ...headers,
    ...(closes ? { Connection: 'close' } : {}),
  });
  const isRestComing = restBytes > 0 && !exchange.isBodyHeldBack && !exchange.isBroken();
  if (closes && isRestComing && body !== null && request.method !== 'HEAD') {
    response.write(body);
    linger(request, response);
  } else {
    response.end(body ?? undefined);
  }
}

/** Answers with the status and the `google.rpc.Status` of `error`. */
export function sendError(exchange: OtlpExchange, error: OtlpHttpError): void {
  const { code, message, status } = error;
  const retry = error.isRetryable ? { retryAfterMs: LIMITS.otlpRetryAfterMs } : {};
  const body = encodeStatus({ code, message, ...retry }, exchange.contentType);
  sendAnswer(exchange, status, body, {
    ...error.headers,
    ...(error.isRetryable ? { 'Retry-After': String(LIMITS.otlpRetryAfterMs / 1000) } : {}),
  });
}

/** Bytes of the body that have not been read, as far as one knows. */
function restOfBody({ complete, headers }: IncomingMessage): number {
  if (complete) return 0;
  return headers['transfer-encoding'] === undefined ? Number(headers['content-length'] ?? 0) : Number.POSITIVE_INFINITY;
}

/**
 * Ends the answer, and with it the connection, only when the rest of the body is read and gone, or after a while: a connection
 * closed on unread bytes is reset, and the reset may overtake the answer.
 */
function linger(request: IncomingMessage, response: ServerResponse): void {
  const end = (): void => {
    clearTimeout(timer);
    response.end();
  };
  const timer = setTimeout(end, LIMITS.otlpHttpLingerMaxMs);
  request.once('end', end).once('close', end).resume();
}
