/** The application behind the HTTP port: routes, and every failure in the API's error shape. Loaded with the first request. */
import { createRequire } from 'node:module';
import type { RequestListener } from 'node:http';
import type KoaRouter from '@koa/router';
import type KoaApplication from 'koa';
import type { Context, Middleware } from 'koa';
import { PROMETHEUS_PATH, servePrometheus } from '../prometheus/http-api.ts';
import { serveLogPull } from '../pull/log-route.ts';
import { serveOffsets } from '../pull/offsets-route.ts';
import { serveTablePull } from '../pull/tables-route.ts';
import { addCursorRoutes } from './cursors-route.ts';
import { addExporterRoutes } from './exporters-route.ts';
import { healthReport, readinessReport } from './health.ts';
import { errorAnswer, HttpError } from './http-error.ts';
import { METRICS_CONTENT_TYPE, metricsText } from './metrics.ts';
import { serveCancelRebuild, serveRebuild } from './projections-route.ts';
import type { HttpServices } from './services.ts';
import { takeSnapshot } from './snapshot.ts';
import { serveSql } from './sql-route.ts';
import { statusBody } from './status.ts';
import { serveProjectionScan } from './user-projections.ts';

// By require: an import of CommonJS costs memory that is never given back (cjs-module-lexer).
const require = createRequire(import.meta.url);
const { default: Koa } = require('koa') as { default: typeof KoaApplication };
const { default: Router } = require('@koa/router') as { default: typeof KoaRouter };

/** Answers requests with what `services` know. */
export function createRoutes(services: HttpServices): RequestListener {
  const app = new Koa();
  const router = routes(services);
  app.on('error', (error: Error) => {
    // Peers come and go as they like: that a connection broke is no fault of this server.
    if (isPeerFault(error)) services.logger.debug('Connection broke', { error: error.message });
    else services.logger.error('Request failed', { error: error.message, stack: error.stack });
  });
  app.use(errors(services));
  app.use(router.routes());
  app.use(router.allowedMethods());
  const handler = app.callback();
  return (request, response) => {
    if (request.url?.startsWith(PROMETHEUS_PATH) === true) void servePrometheus(request, response, services);
    else void handler(request, response);
  };
}

function routes(services: HttpServices): KoaRouter {
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
  router.get('/treasury/v1/projections', async (context) => {
    const { projections } = statusBody(await takeSnapshot(services), services);
    context.body = { projections };
  });
  router.post('/treasury/v1/projections/:name/rebuild', (context) =>
    serveRebuild(context, String(context.params['name']), services),
  );
  router.delete('/treasury/v1/projections/:name/rebuild', (context) =>
    serveCancelRebuild(context, String(context.params['name']), services),
  );
  router.post('/treasury/v1/projections', (context) => serveProjectionScan(context, services));
  router.post('/treasury/v1/sql', (context) => serveSql(context, services));
  router.get('/treasury/v1/log', (context) => serveLogPull(context, services));
  router.get('/treasury/v1/log/offsets', (context) => serveOffsets(context, services));
  router.get('/treasury/v1/tables/:view', (context) =>
    serveTablePull(context, String(context.params['view']), services),
  );
  addCursorRoutes(router, services);
  addExporterRoutes(router, services);
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

/** Whether an error of a connection is its peer's doing: it left, or does not speak HTTP. */
function isPeerFault(error: Error): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code !== undefined && (['ECONNRESET', 'EPIPE'].includes(code) || code.startsWith('HPE_'));
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
