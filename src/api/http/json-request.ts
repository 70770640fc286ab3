/** Requests that change something: from where they may come, and their bodies as JSON, field by field. */
import type { Context } from 'koa';
import { LIMITS, nearest } from '../../base/index.ts';
import { readBodyText } from './body-text.ts';
import { HttpError } from './http-error.ts';

/** Media types of bodies. The last two are what `fetch` and `curl --data` send by themselves. */
const JSON_TYPES = ['', 'application/json', 'text/json', 'text/plain', 'application/x-www-form-urlencoded'];

/** The body as an object with none but `fields`. Never shows what is in it: it may hold secrets. Throws HttpError 400, 403, 413, 415. */
export async function readJsonObject(
  context: Context,
  fields: readonly string[] | null,
): Promise<Readonly<Record<string, unknown>>> {
  const value = await readJsonBody(context);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badRequest('Cannot read the body: it must be an object');
  }
  const unknown = fields === null ? undefined : Object.keys(value).find((field) => !fields.includes(field));
  if (unknown !== undefined) {
    const hint = nearest(unknown, fields ?? []);
    throw badRequest(`Cannot read the body: there is no field ${unknown}, did you mean ${hint}?`, { field: unknown });
  }
  return value as Record<string, unknown>;
}

/** Refuses what a page of another site has a browser send: a browser asks before it reads, but not before it sends. */
export function refuseForeignPage({ headers }: Pick<Context, 'headers'>): void {
  const { origin, host } = headers;
  if (origin === undefined || (URL.canParse(origin) && new URL(origin).host === host)) return;
  throw new HttpError(403, 'TREASURY_FORBIDDEN', 'Cannot change anything for a page of another site', { origin });
}

/** A request that asks for something that does not make sense. */
export function badRequest(message: string, facts: HttpError['facts'] = {}): HttpError {
  return new HttpError(400, 'TREASURY_BAD_REQUEST', message, facts);
}

async function readJsonBody(context: Context): Promise<unknown> {
  refuseForeignPage(context);
  const [type = ''] = (context.headers['content-type'] ?? '').split(';').map((part) => part.trim().toLowerCase());
  const encoding = context.headers['content-encoding'] ?? 'identity';
  if (!JSON_TYPES.includes(type) || encoding !== 'identity') {
    const what = encoding === 'identity' ? `of type ${type}` : `encoded as ${encoding}`;
    throw new HttpError(415, 'TREASURY_UNSUPPORTED_MEDIA_TYPE', `Cannot read a body ${what}`, {
      supported: 'application/json',
    });
  }
  const text = await readBodyText(context.req, LIMITS.exporterConfigBytesMax, badRequest);
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw badRequest('Cannot read the body: it is no JSON');
  }
}
