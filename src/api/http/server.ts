/** The HTTP server of everything that reads: health, metrics, status and SQL. */
import Router from '@koa/router';
import Koa, { type Context, type Middleware } from 'koa';
import { LIMITS } from '../../base/index.ts';
import { healthReport, readinessReport } from './health.ts';
import { errorAnswer, HttpError } from './http-error.ts';
import { type HttpListener, listen } from './listener.ts';
import { METRICS_CONTENT_TYPE, metricsText } from './metrics.ts';
import type { HttpServices } from './services.ts';
import { takeSnapshot } from './snapshot.ts';
import { serveSql } from './sql-route.ts';
import { statusBody } from './status.ts';

export interface HttpServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly services: HttpServices;
}

/** Starts the server. Rejects with TreasuryError TREASURY_CONFIG when it cannot listen. */
export function startHttpServer({ host, port, services }: HttpServerOptions): Promise<HttpListener> {
  const app = new Koa();
  const router = routes(services);
  app.on('error', (error: Error) =>
    services.logger.error('Request failed', { error: error.message, stack: error.stack }),
  );
  app.use(errors(services));
  app.use(router.routes());
  app.use(router.allowedMethods());
  const handler = app.callback();
  return listen((request, response) => void handler(request, response), {
    host,
    port,
    name: 'HTTP',
    drainMs: LIMITS.httpDrainMaxMs,
  });
}

function routes(services: HttpServices): Router {
  const router = new Router();
  router.get('/healthz', async (context) => {
    sendHealth(context, healthReport(await takeSnapshot(services)));
  });
  router.get('/readyz', async (context) => {
    sendHealth(context, readinessReport(await takeSnapshot(services), services.isStopping()));
  });
  router.get('/metrics', async (context) => {
    context.type = METRICS_CONTENT_TYPE;
    context.body = metricsText(await takeSnapshot(services), services);
  });
  router.get('/treasury/v1/status', async (context) => {
    context.body = statusBody(await takeSnapshot(services), services);
  });
  router.post('/treasury/v1/sql', (context) => serveSql(context, services));
  return router;
}

function sendHealth(context: Context, report: ReturnType<typeof healthReport>): void {
  context.status = report.status === 'ok' ? 200 : 503;
  context.body = report;
}

/** Gives every failure, and every path and method that is not served, the API's error shape. */
function errors({ logger }: HttpServices): Middleware {
  return async (context, next) => {
    try {
      await next();
      if (context.respond !== false) refuseUnserved(context);
    } catch (error) {
      const { status, headers, body } = errorAnswer(error, logger);
      context.status = status;
      context.set({ ...headers });
      context.body = body;
      // What is left of a body that was refused is not read.
      if (!context.req.complete) context.set('Connection', 'close');
    }
  };
}

function refuseUnserved(context: Context): void {
  const { method, path, status } = context;
  if (status === 404 && context.body === undefined) {
    throw new HttpError(404, 'TREASURY_NOT_FOUND', `No such path: ${path}`);
  }
  if (status === 405 || status === 501) {
    throw new HttpError(
      405,
      'TREASURY_METHOD_NOT_ALLOWED',
      `Cannot ${method} ${path}: allowed is ${context.response.get('Allow')}`,
    );
  }
}
