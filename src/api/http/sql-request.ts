/** Reads a SQL request: its text and parameters from the body, its format from `Accept`. */
import type { IncomingMessage } from 'node:http';
import { LIMITS } from '../../base/index.ts';
import type { SqlFormat, SqlParam, SqlRequest } from '../../materialize/index.ts';
import { readBodyText } from './body-text.ts';
import { HttpError } from './http-error.ts';

/** Media types of answers by format, in the order of preference. */
export const SQL_MEDIA_TYPES: Readonly<Record<SqlFormat, string>> = {
  json: 'application/json',
  arrow: 'application/vnd.apache.arrow.stream',
  csv: 'text/csv',
  ndjson: 'application/x-ndjson',
};

/** Media types of requests. What `curl --data` sends by itself is read as text. */
const TEXT_TYPES = new Set(['', 'text/plain', 'text/sql', 'application/sql', 'application/x-www-form-urlencoded']);

/** The body as query and parameters. Throws HttpError 400, 413, 415. */
export async function readSqlBody(request: IncomingMessage): Promise<Pick<SqlRequest, 'query' | 'params'>> {
  const [type = '', ...parameters] = (request.headers['content-type'] ?? '').split(';').map(lowerCase);
  const isJson = type === 'application/json';
  if (!isJson && !TEXT_TYPES.has(type)) {
    throw new HttpError(415, 'TREASURY_UNSUPPORTED_MEDIA_TYPE', `Cannot read a body of type ${type}`, {
      supported: 'text/plain, application/sql, application/json',
    });
  }
  const charset = parameters.find((parameter) => parameter.startsWith('charset='));
  if (charset !== undefined && !UTF8_CHARSET.test(charset)) {
    throw new HttpError(415, 'TREASURY_UNSUPPORTED_MEDIA_TYPE', `Cannot read a body with ${charset}: it must be UTF-8`);
  }
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') {
    throw new HttpError(415, 'TREASURY_UNSUPPORTED_MEDIA_TYPE', `Cannot read a body encoded as ${encoding}`);
  }
  const text = await readBodyText(request, LIMITS.sqlTextBytesMax, invalid);
  const body = isJson ? jsonQuery(text) : { query: text };
  // DuckDB takes a statement as a C string: it would run what stands before the NUL and pass over the rest in silence.
  if (body.query.includes('\0')) throw invalid('Cannot read the query: it holds a NUL character');
  return body;
}

/** ASCII is UTF-8, too. */
const UTF8_CHARSET = /^charset="?(utf-?8|us-ascii)"?$/;

function lowerCase(text: string): string {
  return text.trim().toLowerCase();
}

function invalid(message: string): HttpError {
  return new HttpError(400, 'TREASURY_QUERY_INVALID', message);
}

function jsonQuery(text: string): Pick<SqlRequest, 'query' | 'params'> {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw invalid(`Cannot read the body as JSON: ${(error as Error).message}`);
  }
  if (!isRecord(body)) throw invalid('Cannot read the body: it must be an object with query and params');
  const { query, params, ...others } = body;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw invalid(`Cannot read the body: field ${unknown} is not query or params`);
  if (typeof query !== 'string')
    throw invalid(`Cannot read query: it must be a string, value is ${JSON.stringify(query)}`);
  if (params === undefined || params === null) return { query };
  return { query, params: readParams(params) };
}

function readParams(params: unknown): NonNullable<SqlRequest['params']> {
  if (!Array.isArray(params) && !isRecord(params))
    throw invalid('Cannot read params: it must be an array or an object');
  for (const [name, value] of Object.entries(params)) {
    if (!isParam(value)) {
      throw invalid(`Cannot read parameter ${name}: it must be a string, number, boolean or null`);
    }
    // JSON.parse has rounded it already: the query would be about another number.
    if (typeof value === 'number' && (!Number.isFinite(value) || isRounded(value))) {
      throw invalid(`Cannot read parameter ${name}: send a number beyond 2^53 as a string, and cast it in the query`);
    }
  }
  return params as readonly SqlParam[] | Readonly<Record<string, SqlParam>>;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isRounded(value: number): boolean {
  return Number.isInteger(value) && !Number.isSafeInteger(value);
}

function isParam(value: unknown): value is SqlParam {
  return value === null || ['string', 'number', 'boolean'].includes(typeof value);
}
