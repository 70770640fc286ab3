/**
 * The OTLP/HTTP port. This version takes OTLP in no form over HTTP, and says so to every exporter: 501 is final in OTLP, so an
 * exporter reports it at once instead of filling its queue.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { LIMITS } from '../../base/index.ts';
import { type HttpListener, listen } from './listener.ts';

const OTLP_PATHS = new Set(['/v1/logs', '/v1/traces', '/v1/metrics']);
/** google.rpc.Code */
const CODE = { NOT_FOUND: 5, UNIMPLEMENTED: 12 } as const;

/** Listens on the OTLP/HTTP port. Rejects with TreasuryError TREASURY_CONFIG when it cannot. */
export function startOtlpHttpServer(options: { readonly host: string; readonly port: number }): Promise<HttpListener> {
  return listen(refuse, { ...options, name: 'OTLP over HTTP', drainMs: LIMITS.httpDrainMaxMs });
}

function refuse(request: IncomingMessage, response: ServerResponse): void {
  // The body is not read: the connection closes behind the answer.
  // Cut by hand: whatever a peer writes as its target is a path here, and nothing that a parser could refuse.
  const path = (request.url ?? '/').split('?', 1)[0] as string;
  const known = OTLP_PATHS.has(path);
  const body = JSON.stringify({
    code: known ? CODE.UNIMPLEMENTED : CODE.NOT_FOUND,
    message: known
      ? 'OTLP over HTTP is not implemented: send OTAP (OTel-Arrow) to the gRPC port'
      : `No such path: ${path}`,
  });
  response.writeHead(known ? 501 : 404, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
    Connection: 'close',
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}
