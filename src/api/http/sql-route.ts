/** `POST /treasury/v1/sql`: the answer goes out as the engine makes it, no faster than the client reads. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Context } from 'koa';
import { errorMessage, type TreasuryError } from '../../base/index.ts';
import { SQL_FORMATS, type SqlAnswer, type SqlFormat } from '../../materialize/index.ts';
import { HttpError } from './http-error.ts';
import { incompleteHeader } from './projections-route.ts';
import type { HttpServices } from './services.ts';
import { readSqlBody, SQL_MEDIA_TYPES } from './sql-request.ts';

/** Serves one query. Failures before the first byte are thrown; later ones cut the connection, so that no answer looks whole. */
export async function serveSql(context: Context, { engine, sqlLimits, logger }: HttpServices): Promise<void> {
  const format = acceptedFormat(context);
  const { query, params } = await readSqlBody(context.req);
  const { res: response } = context;
  const abort = new AbortController();
  const leave = () => abort.abort();
  response.once('close', leave);
  const request = { query, format, ...sqlLimits, ...(params === undefined ? {} : { params }) };
  let answer: SqlAnswer;
  try {
    answer = await engine.sql(request, abort.signal);
  } catch (error) {
    response.off('close', leave);
    throw error;
  }
  context.respond = false;
  const { incomplete = [] } = answer;
  response.writeHead(200, {
    'Content-Type': contentType(format),
    'Cache-Control': 'no-store',
    ...(incomplete.length === 0 ? {} : { 'X-Treasury-Incomplete': incompleteHeader(incomplete) }),
  });
  try {
    await pipeAnswer(answer, response);
    response.end();
  } catch (error) {
    if (!abort.signal.aborted) {
      logger.warn('Query failed while its answer was sent', {
        code: (error as Partial<TreasuryError>).code,
        error: errorMessage(error),
      });
    }
    response.destroy();
  }
}

function acceptedFormat(context: Context): SqlFormat {
  const format = preferredFormat(context, '') ?? preferredFormat(context, '; charset=utf-8');
  if (format === undefined) {
    throw new HttpError(406, 'TREASURY_NOT_ACCEPTABLE', `Cannot answer as ${context.get('Accept')}`, {
      supported: Object.values(SQL_MEDIA_TYPES).join(', '),
    });
  }
  return format;
}

/** Some clients ask for a type with its charset, which is another type to content negotiation. `parameters` is what ours get too. */
function preferredFormat(context: Context, parameters: string): SqlFormat | undefined {
  const types = SQL_FORMATS.map((format) => SQL_MEDIA_TYPES[format] + parameters);
  const accepted = context.accepts(types);
  return SQL_FORMATS[types.findIndex((type) => type === accepted)];
}

function contentType(format: SqlFormat): string {
  return format === 'csv' ? `${SQL_MEDIA_TYPES.csv}; charset=utf-8; header=present` : SQL_MEDIA_TYPES[format];
}

async function pipeAnswer(answer: SqlAnswer, response: ServerResponse): Promise<void> {
  for await (const chunk of answer.chunks) {
    if (response.destroyed) return;
    if (!response.write(chunk)) await writable(response);
  }
}

/** Settles when the client has taken what was written, or has gone. Leaves no listener behind: answers have many parts. */
async function writable(response: ServerResponse): Promise<void> {
  const over = new AbortController();
  try {
    const events = ['drain', 'close'].map((event) => once(response, event, { signal: over.signal }));
    await Promise.race(events);
  } finally {
    over.abort();
  }
}
