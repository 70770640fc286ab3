/** The HTTP API of Prometheus: paths, methods, and errors in its envelope. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errorMessage, LIMITS, type Logger } from '../../base/index.ts';
import { textOfBytes } from '../query/promql/stray-bytes.ts';
import type { IncompleteTables } from '../../materialize/index.ts';
import { incompleteHeader } from '../http/projections-route.ts';
import { holdBytes } from '../held-bytes.ts';
import { FAILURE_STATUSES, failureOf, RequestFailure } from './failure.ts';
import { type Form, readForm } from './form.ts';
import { escapeFault, unescapedBytes } from './percent.ts';
import type { PrometheusQueries } from './queries.ts';
import {
  cardinalityQuery,
  exemplarsQuery,
  instantQuery,
  labelsQuery,
  metadataQuery,
  rangeQuery,
  seriesQuery,
  valuesQuery,
} from './requests.ts';
import { sendJson } from './send.ts';
import { rulesRequest, STATIC_ANSWERS, targetsMetadataRequest } from './static-answers.ts';
import type { Failure, PrometheusRequest } from './types.ts';

export interface PrometheusServices {
  readonly prometheus: PrometheusQueries;
  readonly version: string;
  readonly startedAtUnixMs: number;
  readonly logger: Logger;
}

/** Where the API is. */
export const PROMETHEUS_PATH = '/api/v1/';

/** Answers a request to a path below PROMETHEUS_PATH. Never rejects. */
export async function servePrometheus(
  request: IncomingMessage,
  response: ServerResponse,
  services: PrometheusServices,
): Promise<void> {
  const { path, query } = partsOf(request.url ?? '');
  // Upstream says so even where it lets nobody in.
  response.setHeader('Vary', 'Origin');
  for (const [name, value] of Object.entries(services.prometheus.crossOrigin(request.headers.origin)))
    response.setHeader(name, value!);
  if (path === undefined) return sendText(response, 400, '400 Bad Request\n');
  const route = findRoute(path);
  if (route === undefined) return sendText(response, 404, '404 page not found\n');
  const methods = ['GET', 'HEAD', 'OPTIONS', ...(route.takesPost ? ['POST'] : [])];
  const { method = '' } = request;
  if (method === 'OPTIONS') {
    response.writeHead(204, { Allow: methods.join(', ') }).end();
    return;
  }
  if (!methods.includes(method)) return sendText(response, 405, 'Method Not Allowed\n', { Allow: methods.join(', ') });
  const leave = new AbortController();
  response.once('close', () => leave.abort(LEFT));
  const held = holdBytes(services.prometheus.forms);
  const ended = services.prometheus.figures.begin(route.endpoint);
  try {
    const form = await readForm(request, query, held);
    const { answer } = route;
    const found = answer(form, services);
    const chunks = 'kind' in found ? await services.prometheus.ask(found, leave.signal) : bodyOf(found);
    held.giveAll();
    if (readsTables(found)) tellIncomplete(response, services.prometheus.incomplete());
    await sendJson(request, response, 200, chunks);
    ended(response.writableEnded ? 'success' : 'canceled');
  } catch (error) {
    ended(failureOf(error).type);
    if (!response.headersSent) return sendFailure(request, response, error, services.logger);
    if (!leave.signal.aborted)
      services.logger.warn('Query failed while its answer was sent', { error: errorMessage(error) });
  } finally {
    held.giveAll();
  }
}

/** Made once: every response closes, and making an error takes a while. */
const LEFT = new RequestFailure('canceled', 'query was canceled in query execution');

function readsTables(found: PrometheusRequest | StaticBody): boolean {
  return 'kind' in found && !['format', 'parse', 'check'].includes(found.kind);
}

/** As answers of SQL do. */
function tellIncomplete(response: ServerResponse, incomplete: readonly IncompleteTables[]): void {
  if (incomplete.length > 0) response.setHeader('X-Treasury-Incomplete', incompleteHeader(incomplete));
}

interface Route {
  /** For figures. */
  readonly endpoint: string;
  readonly takesPost: boolean;
  readonly answer: (form: Form, services: PrometheusServices) => PrometheusRequest | StaticBody;
}

interface StaticBody {
  readonly data: unknown;
}

type StoredRoute = readonly [takesPost: boolean, request: (form: Form) => PrometheusRequest];

const ROUTES: Readonly<Record<string, StoredRoute>> = {
  '/query': [true, instantQuery],
  '/query_range': [true, rangeQuery],
  '/query_exemplars': [true, exemplarsQuery],
  '/format_query': [true, (form) => ({ kind: 'format', query: form.get('query') })],
  '/parse_query': [true, (form) => ({ kind: 'parse', query: form.get('query') })],
  '/series': [true, seriesQuery],
  '/labels': [true, labelsQuery],
  '/metadata': [false, metadataQuery],
  '/rules': [false, rulesRequest],
  '/targets/metadata': [false, targetsMetadataRequest],
  '/status/tsdb': [false, cardinalityQuery],
};

/** A name may hold a slash: clients write it as %2F, and what lies between passes it on as it is. */
const VALUES_PATH = /^\/label\/(.+)\/values$/s;

function findRoute(path: string): Route | undefined {
  const endpoint = path.slice(1);
  const stored = Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined;
  if (stored !== undefined) return { endpoint, takesPost: stored[0], answer: stored[1] };
  const [, label] = VALUES_PATH.exec(path) ?? [];
  // Upstream takes no POST here; Grafana's suggestions send one, and show nothing then.
  if (label !== undefined) {
    return { endpoint: 'label/NAME/values', takesPost: true, answer: (form) => valuesQuery(form, label) };
  }
  const fixed = Object.hasOwn(STATIC_ANSWERS, path) ? STATIC_ANSWERS[path] : undefined;
  if (fixed === undefined) return undefined;
  return {
    endpoint,
    takesPost: false,
    answer: (form, { prometheus, version, startedAtUnixMs }) => ({
      data: fixed(form, { version, startedAtUnixMs, settings: prometheus.settings }),
    }),
  };
}

/** The path behind the API's own, decoded, undefined when it cannot be, and what stands behind `?`. */
function partsOf(url: string): { readonly path: string | undefined; readonly query: string } {
  const [path = '', ...query] = url.split('?');
  const rest = path.slice(PROMETHEUS_PATH.length - 1);
  return {
    path: escapeFault(rest) === undefined ? textOfBytes(unescapedBytes(rest)) : undefined,
    query: query.join('?'),
  };
}

async function* bodyOf(body: object): AsyncGenerator<Uint8Array> {
  yield Buffer.from(JSON.stringify({ status: 'success', ...body }), 'utf8');
}

async function sendFailure(
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
  logger: Logger,
): Promise<void> {
  if (response.destroyed) return;
  const { type, message, detail }: Failure & { readonly detail?: string } = failureOf(error);
  if (detail !== undefined) logger.error('Request failed', { error: detail });
  const body = JSON.stringify({ status: 'error', errorType: type, error: message });
  const status = FAILURE_STATUSES[type];
  if (status === 503) response.setHeader('Retry-After', String(LIMITS.prometheusRetryAfterSeconds));
  // What is left of a form that was refused is not read.
  if (!request.complete) response.setHeader('Connection', 'close');
  await sendJson(request, response, status, chunkOf(body)).catch(() => {});
}

async function* chunkOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text, 'utf8');
}

function sendText(
  response: ServerResponse,
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', ...headers }).end(text);
}
