/** The HTTP server of everything that reads: health, metrics, status and SQL. */
import type { RequestListener } from 'node:http';
import { errorMessage, LIMITS } from '../../base/index.ts';
import { type HttpListener, listen } from './listener.ts';
import type { HttpServices } from './services.ts';

export interface HttpServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly services: HttpServices;
}

/** Starts the server. Rejects with TreasuryError TREASURY_CONFIG when it cannot listen. */
export function startHttpServer({ host, port, services }: HttpServerOptions): Promise<HttpListener> {
  return listen(loadedLater(services), {
    host,
    port,
    name: 'HTTP',
    drainMs: LIMITS.httpDrainMaxMs,
    server: { maxHeaderSize: LIMITS.httpHeadBytesMax },
  });
}

/** A server that only takes telemetry never loads koa and its packages: 5 MB. */
function loadedLater(services: HttpServices): RequestListener {
  let loading: Promise<RequestListener> | null = null;
  return (request, response) => {
    loading ??= import('./routes.ts').then(({ createRoutes }) => createRoutes(services));
    loading.then(
      (handle) => handle(request, response),
      (error: unknown) => {
        // The next request tries again.
        loading = null;
        services.logger.error('Request failed', { error: errorMessage(error) });
        response.destroy();
      },
    );
  };
}
