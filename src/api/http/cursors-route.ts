/** `/treasury/v1/cursors`: named positions in the log. Those of exporters are moved by their exporter. */
import type KoaRouter from '@koa/router';
import type { Context } from 'koa';
import type { Cursor, CursorStatus, HoldPolicy } from '../../log/index.ts';
import { refuseOffset } from '../../log/index.ts';
import { EVENT_TIME_PREFIX, offsetOfPlace } from '../push/log-place.ts';
import { parseTime } from '../pull/times.ts';
import { HttpError } from './http-error.ts';
import { badRequest, readJsonObject, refuseForeignPage } from './json-request.ts';
import type { HttpServices } from './services.ts';

const BASE = '/treasury/v1/cursors';

/** Adds the routes. Errors are thrown: HttpError and TreasuryError. */
export function addCursorRoutes(router: KoaRouter, services: HttpServices): void {
  const { cursors } = services;
  const shown = (status: CursorStatus) => cursorBody(status, services);

  router.get(BASE, (context) => {
    context.body = { cursors: cursors.list().map(shown), damaged: cursors.damaged };
  });
  router.post(BASE, async (context) => {
    const { name, from = 'end', policy = 'drop' } = await readJsonObject(context, ['name', 'from', 'policy']);
    const offset = await placeOf('from', from, services);
    const created = await cursors.create(nameOf(name), { offset, policy: policyOf(policy) });
    answer(context, 201, shown(created.status));
  });
  router.get(`${BASE}/:name`, (context) => {
    context.body = shown(cursorOf(context, services).status);
  });
  router.patch(`${BASE}/:name`, async (context) => {
    const changes = await readJsonObject(context, ['offset', 'time', 'eventTime', 'paused', 'policy']);
    const cursor = ownCursorOf(context, services);
    await change(cursor, changes, services);
    context.body = shown(cursor.status);
  });
  router.delete(`${BASE}/:name`, async (context) => {
    refuseForeignPage(context);
    await cursors.remove(ownCursorOf(context, services).status.name);
    context.status = 204;
  });
  router.post(`${BASE}/:name/fork`, async (context) => {
    const { name } = await readJsonObject(context, ['name']);
    const forked = await cursors.fork(nameOf(name), cursorOf(context, services).status.name);
    answer(context, 201, shown(forked.status));
  });
}

/** Sends a status with its body. */
export function answer(context: Context, status: number, body: unknown): void {
  context.status = status;
  context.body = body;
}

/** A place in the log from a body's field. Throws HttpError 400, OffsetOutOfRangeError. */
export async function placeOf(field: string, value: unknown, services: HttpServices): Promise<bigint> {
  const isPlace = typeof value === 'string' || (Number.isSafeInteger(value) && (value as number) >= 0);
  const offset = isPlace ? await offsetOfPlace(String(value), services) : null;
  if (offset === null) {
    throw badRequest(
      `Cannot read ${field}: it must be start, end, an offset or a time in RFC 3339, value is ${JSON.stringify(value)}`,
      { field },
    );
  }
  refuseOffset(offset, services.log);
  return offset;
}

/** A name from a body; whether it may be one is for the cursors to say. */
export function nameOf(value: unknown): string {
  if (typeof value === 'string') return value;
  throw badRequest('Cannot read name: it must be given, as text', { field: 'name' });
}

/** An offset as a place. */
function offsetPlace(value: unknown): string {
  const text = typeof value === 'string' || typeof value === 'number' ? String(value) : '';
  if (/^\d{1,20}$/.test(text)) return text;
  throw badRequest(`Cannot read offset: it must be a whole number, value is ${JSON.stringify(value)}`, {
    field: 'offset',
  });
}

/** A time of receipt, or of events, as a place. */
function timePlace(field: 'time' | 'eventTime', value: unknown): string {
  if (typeof value === 'string' && parseTime(value) !== null && !/^\d+$/.test(value)) {
    return field === 'time' ? value : EVENT_TIME_PREFIX + value;
  }
  throw badRequest(`Cannot read ${field}: it must be a time in RFC 3339, value is ${JSON.stringify(value)}`, { field });
}

/** The place that a body names in one of its fields; null when in none. Throws HttpError 400. */
export function placeIn({ offset, time, eventTime }: Readonly<Record<string, unknown>>): string | null {
  const given = Object.entries({ offset, time, eventTime }).flatMap(([field, value]) =>
    value === undefined ? [] : field,
  );
  if (given.length > 1) throw badRequest(`Cannot read ${given[1]}: ${given[0]} is given already`, { field: given[1]! });
  if (offset !== undefined) return offsetPlace(offset);
  if (time !== undefined) return timePlace('time', time);
  return eventTime === undefined ? null : timePlace('eventTime', eventTime);
}

async function change(
  cursor: Cursor,
  changes: Readonly<Record<string, unknown>>,
  services: HttpServices,
): Promise<void> {
  const { paused, policy } = changes;
  if (Object.keys(changes).length === 0) {
    throw badRequest('Cannot change the cursor: offset, time, eventTime, paused or policy must be given');
  }
  if (paused !== undefined && typeof paused !== 'boolean') {
    throw badRequest(`Cannot read paused: it must be true or false, value is ${JSON.stringify(paused)}`, {
      field: 'paused',
    });
  }
  const nextPolicy = policy === undefined ? null : policyOf(policy);
  const place = placeIn(changes);
  if (place !== null) await cursor.seek(await placeOf('offset', place, services));
  if (nextPolicy !== null) await cursor.setPolicy(nextPolicy);
  if (paused !== undefined) await cursor.setPaused(paused);
}

function policyOf(value: unknown): HoldPolicy {
  if (value === 'drop' || value === 'hold') return value;
  throw badRequest(`Cannot read policy: it must be drop or hold, value is ${JSON.stringify(value)}`, {
    field: 'policy',
  });
}

function cursorOf(context: Context, { cursors }: HttpServices): Cursor {
  const name = String(context['params']['name']);
  const cursor = cursors.get(name);
  if (cursor !== null) return cursor;
  throw new HttpError(404, 'TREASURY_CURSOR_UNKNOWN', `Cannot find cursor ${name}`, { cursor: name });
}

function ownCursorOf(context: Context, services: HttpServices): Cursor {
  const cursor = cursorOf(context, services);
  const { name } = cursor.status;
  if (!services.exporters.has(name)) return cursor;
  throw new HttpError(
    409,
    'TREASURY_CURSOR_OF_EXPORTER',
    `Cannot change cursor ${name}: it belongs to the exporter of that name, which pauses, rewinds and deletes it`,
    { cursor: name, exporter: name },
  );
}

function cursorBody(
  { offset, createdAtUnixMs, updatedAtUnixMs, ...status }: CursorStatus,
  { log, exporters }: HttpServices,
): Readonly<Record<string, unknown>> {
  const { durableOffset } = log.status();
  return {
    ...status,
    offset: Number(offset),
    lag: offset < durableOffset ? Number(durableOffset - offset) : 0,
    exporter: exporters.has(status.name),
    createdAt: new Date(createdAtUnixMs).toISOString(),
    updatedAt: new Date(updatedAtUnixMs).toISOString(),
  };
}
