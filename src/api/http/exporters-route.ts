/** `/treasury/v1/exporters`: what leaves the log for other receivers, and from where it goes on. */
import type KoaRouter from '@koa/router';
import type { Context } from 'koa';
import type { ExporterStatus } from '../push/exporter.ts';
import type { ExportersStatus } from '../push/manager.ts';
import { answer, nameOf, placeIn } from './cursors-route.ts';
import { badRequest, readJsonObject, refuseForeignPage } from './json-request.ts';
import type { HttpServices } from './services.ts';

const BASE = '/treasury/v1/exporters';

/** Adds the routes. Errors are thrown: HttpError and TreasuryError. */
export function addExporterRoutes(router: KoaRouter, { exporters }: HttpServices): void {
  router.get(BASE, (context) => {
    context.body = exportersBody(exporters.status());
  });
  router.post(BASE, async (context) => {
    const { name, ...value } = await readJsonObject(context, null);
    answer(context, 201, exporterBody(await exporters.put(nameOf(name), value, { onlyNew: true })));
  });
  router.get(`${BASE}/:name`, (context) => {
    context.body = exporterBody(exporters.get(nameIn(context)));
  });
  router.put(`${BASE}/:name`, async (context) => {
    const value = await readJsonObject(context, null);
    const name = nameIn(context);
    const isNew = !exporters.has(name);
    answer(context, isNew ? 201 : 200, exporterBody(await exporters.put(name, value)));
  });
  router.delete(`${BASE}/:name`, async (context) => {
    refuseForeignPage(context);
    await exporters.remove(nameIn(context));
    context.status = 204;
  });
  router.post(`${BASE}/:name/pause`, async (context) => {
    refuseForeignPage(context);
    context.body = exporterBody(await exporters.pause(nameIn(context)));
  });
  router.post(`${BASE}/:name/resume`, async (context) => {
    refuseForeignPage(context);
    context.body = exporterBody(await exporters.resume(nameIn(context)));
  });
  router.post(`${BASE}/:name/rewind`, async (context) => {
    const place = rewindPlace(await readJsonObject(context, ['offset', 'time', 'eventTime', 'to']));
    context.body = exporterBody(await exporters.rewind(nameIn(context), place));
  });
  router.post(`${BASE}/:name/fork`, async (context) => {
    const { name, ...changes } = await readJsonObject(context, null);
    answer(context, 201, exporterBody(await exporters.fork(nameIn(context), nameOf(name), changes)));
  });
}

/** All exporters as JSON, without what is secret; also part of the status. */
export function exportersBody(status: ExportersStatus): Readonly<Record<string, unknown>> {
  return { ...status, exporters: status.exporters.map(exporterBody) };
}

function exporterBody({
  config,
  ackedOffset,
  readOffset,
  ...status
}: ExporterStatus): Readonly<Record<string, unknown>> {
  const { lagEntries, lagSeconds, totals, setAside, ...others } = status;
  const { lostEntries, setAsideEntries, ...counts } = totals;
  return {
    ...config,
    ...others,
    ackedOffset: Number(ackedOffset),
    readOffset: Number(readOffset),
    lag: { entries: Number(lagEntries), seconds: lagSeconds },
    ...counts,
    lostEntries: Number(lostEntries),
    setAside: {
      entries: setAsideEntries,
      failing: setAside.failing,
      path: setAside.path,
      newest: setAside.newest.map(({ offset, reason, atUnixMs }) => ({
        offset: Number(offset),
        at: new Date(atUnixMs).toISOString(),
        reason,
      })),
    },
  };
}

function nameIn(context: Context): string {
  return String(context['params']['name']);
}

function rewindPlace(fields: Readonly<Record<string, unknown>>): string {
  const { to } = fields;
  if (Object.keys(fields).length !== 1) {
    throw badRequest('Cannot rewind: one of offset, time, eventTime and to (start or end) must be given');
  }
  const place = placeIn(fields);
  if (place !== null) return place;
  if (to === 'start' || to === 'end') return to;
  throw badRequest(`Cannot read to: it must be start or end, value is ${JSON.stringify(to)}`, { field: 'to' });
}
