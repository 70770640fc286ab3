/** `treasury push`: looks after the exporters of a running server. */
import type { Config } from '../config.ts';
import { exportTarget } from '../export-url.ts';
import { ask } from './client.ts';
import { bytesText } from './quantity-text.ts';
import { tableText } from './table.ts';
import { writeOut } from './write-out.ts';

const BASE = '/treasury/v1/exporters';

interface ExporterBody {
  readonly name: string;
  readonly protocol: string;
  readonly endpoint: string;
  readonly compression?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly tls?: Readonly<Record<string, string | boolean>>;
  readonly inFlight?: number;
  readonly filter?: unknown;
  readonly retention?: string;
  readonly state: string;
  readonly error: string | null;
  readonly fallback: string | null;
  readonly ackedOffset: number;
  readonly lag: { readonly entries: number; readonly seconds: number | null };
  readonly sentItems: number;
  readonly sentBytes: number;
  readonly retries: number;
  readonly resentBatches: number;
  readonly filteredItems: number;
  readonly rejectedItems: number;
  readonly orphanRows: number;
  readonly lostEntries: number;
  readonly setAside: {
    readonly entries: number;
    readonly failing: string | null;
    readonly path: string;
    readonly newest: readonly { readonly offset: number; readonly reason: string }[];
  };
  readonly cursorFailing: string | null;
}

interface ExportersBody {
  readonly exporters: readonly ExporterBody[];
  readonly faults: readonly { readonly file: string; readonly reason: string }[];
  readonly down: string | null;
}

/** Runs the action on the server and writes what it answers. Throws TreasuryError. The arguments are checked by the command line. */
export async function push([action, name = '', third = '']: readonly string[], config: Config): Promise<number> {
  const path = `${BASE}/${encodeURIComponent(name)}`;
  switch (action) {
    case 'ls':
      return list(config);
    case 'create':
      return change(config, BASE, { name, ...exportTarget(third) });
    case 'fork':
      return change(config, `${path}/fork`, { name: third });
    case 'rewind':
      return change(config, `${path}/rewind`, rewindBody(third));
    case 'delete':
      await ask(config.server, path, { method: 'DELETE' });
      return 0;
    case 'show':
      return show(config, await ask(config.server, path));
    default:
      return change(config, `${path}/${action}`, null);
  }
}

async function list({ server, format }: Config): Promise<number> {
  const body = (await (await ask(server, BASE)).json()) as ExportersBody;
  if (format === 'json') {
    await writeOut(`${JSON.stringify(body, null, 2)}\n`);
    return 0;
  }
  const { exporters, faults, down } = body;
  const table = tableText(
    ['exporter', 'state', 'protocol', 'endpoint', 'acked offset', 'lag', 'sent items', 'set aside', 'error'],
    exporters.map((each) => [
      each.name,
      each.state,
      each.protocol,
      each.endpoint,
      each.ackedOffset,
      lagText(each.lag),
      each.sentItems,
      each.setAside.entries,
      each.error ?? '',
    ]),
  );
  const notes = [
    ...faults.map(({ file, reason }) => `Not used: ${file}: ${reason}\n`),
    ...(down === null ? [] : [`Nothing is sent: ${down}\n`]),
  ];
  await writeOut(table + notes.join(''));
  return 0;
}

async function change(config: Config, path: string, body: object | null): Promise<number> {
  const content = body === null ? {} : { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } };
  return show(config, await ask(config.server, path, { method: 'POST', ...content }));
}

async function show({ format }: Config, response: Response): Promise<number> {
  const body = (await response.json()) as ExporterBody;
  await writeOut(format === 'json' ? `${JSON.stringify(body, null, 2)}\n` : exporterText(body));
  return 0;
}

function exporterText(body: ExporterBody): string {
  const { setAside } = body;
  return tableText(
    ['what', 'value'],
    [
      ['name', body.name],
      ['target', `${body.protocol} ${body.endpoint}${body.fallback === null ? '' : ` (${body.fallback})`}`],
      ['compression', body.compression ?? 'default'],
      ['headers', Object.keys(body.headers ?? {}).join(', ') || 'none'],
      ...(body.tls === undefined ? [] : [['tls', JSON.stringify(body.tls)]]),
      ...(body.inFlight === undefined ? [] : [['requests under way', body.inFlight]]),
      ['filter', body.filter === undefined ? 'none' : JSON.stringify(body.filter)],
      ['retention', body.retention ?? 'drop'],
      ['state', body.error === null ? body.state : `${body.state}: ${body.error}`],
      ['acknowledged below offset', body.ackedOffset],
      ['lag', lagText(body.lag)],
      ['sent', `${body.sentItems} items, ${bytesText(body.sentBytes)}`],
      ['tries that failed', body.retries],
      ['batches sent again', body.resentBatches],
      ['items filtered out', body.filteredItems],
      ['items rejected by the target', body.rejectedItems],
      ['rows that OTLP cannot hold', body.orphanRows],
      ['entries set aside', setAside.entries === 0 ? 0 : `${setAside.entries}, in ${setAside.path}`],
      ...setAside.newest.map(({ offset, reason }) => [`set aside ${offset}`, reason]),
      ['entries deleted before they were sent', body.lostEntries],
      ...(body.cursorFailing === null ? [] : [['its place is not durable', body.cursorFailing]]),
    ],
  );
}

function lagText({ entries, seconds }: ExporterBody['lag']): string {
  if (entries === 0) return '0 entries';
  const age = seconds === null ? 'older than the server' : `${Math.round(seconds)} s`;
  return `${entries} entries, ${age}`;
}

function rewindBody(place: string): Readonly<Record<string, string>> {
  if (/^\d+$/.test(place)) return { offset: place };
  if (place === 'start' || place === 'end') return { to: place };
  return place.startsWith('event:') ? { eventTime: place.slice('event:'.length) } : { time: place };
}
