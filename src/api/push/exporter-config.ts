/** Exporters as they are configured: checked field by field, written to their file, shown without what is secret. */
import { isIP } from 'node:net';
import { isAbsolute } from 'node:path';
import { LIMITS, nearest, SIGNALS, TreasuryError } from '../../base/index.ts';
import type { HoldPolicy } from '../../log/index.ts';
import {
  EXPORTER_COMPRESSIONS,
  EXPORTER_PROTOCOLS,
  type ExporterConfig,
  type ExporterFilter,
  type ExporterTls,
} from './types.ts';

/** Where an exporter begins: `start`, `end`, an offset, a time of receipt in RFC 3339, or `event:` and a time of events. */
export type ExporterFrom = string;

export interface ExporterDefinition {
  readonly config: ExporterConfig;
  /** Null: not said. */
  readonly from: ExporterFrom | null;
}

/** What is shown for the value of a header. Given back, it stands for the value that is there. */
export const SECRET = '***';

/**
 * Reads an exporter from JSON. `current` is what it replaces: its header values stand for those that are given as `***`. Throws
 * TREASURY_EXPORTER_INVALID with the field and the reason; never with the value of a header.
 */
export function readExporter(name: string, value: unknown, current: ExporterConfig | null = null): ExporterDefinition {
  const fields = record(name, null, value);
  refuseUnknown(name, null, fields, FIELDS);
  if (fields['name'] !== undefined && fields['name'] !== name) {
    throw invalid(name, 'name', `it must be ${name}, as its file or path says`);
  }
  const protocol = choice(name, 'protocol', fields['protocol'], EXPORTER_PROTOCOLS);
  const compression = optional(fields['compression'], (each) =>
    choice(name, 'compression', each, EXPORTER_COMPRESSIONS),
  );
  const headers = optional(fields['headers'], (each) => readHeaders(name, each, current?.headers ?? {}));
  const filter = optional(fields['filter'], (each) => readFilter(name, each));
  const retention = optional(fields['retention'], (each) => choice(name, 'retention', each, POLICIES));
  const tls = optional(fields['tls'], (each) => readTls(name, each));
  const inFlight = optional(fields['inFlight'], (each) => readInFlight(name, each));
  for (const [field, value] of Object.entries({ headers, tls, inFlight })) {
    if (protocol === 'parquet' && value !== undefined) throw invalid(name, field, 'a folder takes none');
  }
  const endpoint = readEndpoint(name, protocol, fields['endpoint']);
  if (tls !== undefined && !endpoint.startsWith('https:')) {
    throw invalid(name, 'tls', 'its endpoint must be an https:// URL: http:// is without TLS');
  }
  const config: ExporterConfig = {
    name,
    protocol,
    endpoint,
    ...(compression === undefined ? {} : { compression }),
    ...(headers === undefined ? {} : { headers }),
    ...(tls === undefined ? {} : { tls }),
    ...(inFlight === undefined ? {} : { inFlight }),
    ...(filter === undefined ? {} : { filter }),
    ...(retention === undefined ? {} : { retention }),
  };
  return { config, from: optional(fields['from'], (each) => readFrom(name, each)) ?? null };
}

/** The content of an exporter's file. */
export function exporterText({ config, from }: ExporterDefinition): string {
  return `${JSON.stringify({ ...config, ...(from === null ? {} : { from }) }, null, 2)}\n`;
}

/** An exporter's configuration as anybody may see it. */
export function shownConfig({ headers, ...config }: ExporterConfig): ExporterConfig {
  if (headers === undefined) return config;
  return { ...config, headers: Object.fromEntries(Object.keys(headers).map((header) => [header, SECRET])) };
}

/** Names of the fields in which two configurations differ. */
export function changedFields(one: ExporterConfig, other: ExporterConfig): string[] {
  const keys = FIELDS.filter((field): field is keyof ExporterConfig => field !== 'from');
  return keys.filter((key) => JSON.stringify(sorted(one[key])) !== JSON.stringify(sorted(other[key])));
}

/** JSON as a value. Throws TREASURY_EXPORTER_INVALID without a part of the text: it may hold headers. */
export function parseExporterJson(name: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    const at = /position (\d+)/.exec((error as Error).message)?.[1];
    throw invalid(name, null, `it is no JSON${at === undefined ? '' : ` from character ${at} on`}`);
  }
}

const FIELDS = [
  'name',
  'protocol',
  'endpoint',
  'compression',
  'headers',
  'tls',
  'inFlight',
  'filter',
  'retention',
  'from',
] as const;
const FILTER_FIELDS = ['signals', 'resource', 'attributes'] as const;
const POLICIES: readonly HoldPolicy[] = ['drop', 'hold'];

/** A token of RFC 9110, as gRPC and HTTP/2 write it. */
const HEADER_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
/** What the protocols themselves say. */
const HEADERS_OF_PROTOCOL =
  /^(grpc-.*|content-(type|length|encoding)|host|te|trailer|transfer-encoding|connection|keep-alive|upgrade|expect|accept-encoding|user-agent)$/;
const HEADER_VALUE = /^[\x20-\x7e]*$/;

function readHeaders(
  name: string,
  value: unknown,
  current: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  for (const [given, text] of entriesOf(name, 'headers', value)) {
    const header = given.toLowerCase();
    const field = `headers.${given}`;
    if (!HEADER_NAME.test(header)) throw invalid(name, field, 'it is no name of a header');
    if (HEADERS_OF_PROTOCOL.test(header)) throw invalid(name, field, 'the protocol sets it');
    if (header in headers) throw invalid(name, field, 'it is given twice');
    if (header.endsWith('-bin')) throw invalid(name, field, 'binary headers are not supported');
    if (typeof text !== 'string' || !HEADER_VALUE.test(text)) {
      throw invalid(name, field, 'its value must be printable ASCII text');
    }
    const kept = text === SECRET ? current[header] : text;
    if (kept === undefined)
      throw invalid(name, field, `its value must be given: there is none that ${SECRET} stands for`);
    headers[header] = kept;
  }
  return headers;
}

const TLS_FILES = ['caFile', 'certFile', 'keyFile'] as const;
const TLS_FIELDS = [...TLS_FILES, 'serverName', 'skipVerify'] as const;
/** A name as it goes into the request for a certificate: no address, which has none there. */
const SERVER_NAME =
  /^(?=.{1,253}$)[a-zA-Z0-9_]([a-zA-Z0-9_-]*[a-zA-Z0-9_])?(\.[a-zA-Z0-9_]([a-zA-Z0-9_-]*[a-zA-Z0-9_])?)*$/;

function readTls(name: string, value: unknown): ExporterTls {
  const fields = record(name, 'tls', value);
  refuseUnknown(name, 'tls', fields, TLS_FIELDS);
  for (const field of TLS_FILES) {
    const path = fields[field];
    if (path === undefined) continue;
    if (typeof path !== 'string' || !isAbsolute(path) || path.includes('\0')) {
      throw invalid(name, `tls.${field}`, `it must be an absolute path, ${shown(path)}`);
    }
  }
  if ((fields['certFile'] === undefined) !== (fields['keyFile'] === undefined)) {
    throw invalid(name, 'tls', 'certFile and keyFile must be given together');
  }
  const { serverName, skipVerify } = fields;
  if (
    serverName !== undefined &&
    (typeof serverName !== 'string' || !SERVER_NAME.test(serverName) || isIP(serverName))
  ) {
    throw invalid(name, 'tls.serverName', `it must be the name of a host, ${shown(serverName)}`);
  }
  if (skipVerify !== undefined && typeof skipVerify !== 'boolean') {
    throw invalid(name, 'tls.skipVerify', `it must be true or false, ${shown(skipVerify)}`);
  }
  return fields as ExporterTls;
}

function readInFlight(name: string, value: unknown): number {
  if (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= LIMITS.exporterInFlightMax) {
    return value as number;
  }
  throw invalid(name, 'inFlight', `it must be 1 to ${LIMITS.exporterInFlightMax}, ${shown(value)}`);
}

function readFilter(name: string, value: unknown): ExporterFilter {
  const { signals, resource, attributes, ...others } = record(name, 'filter', value);
  refuseUnknown(name, 'filter', others, FILTER_FIELDS);
  const texts = (field: string, given: unknown): Readonly<Record<string, string>> => {
    const pairs = entriesOf(name, `filter.${field}`, given);
    for (const [key, text] of pairs) {
      if (typeof text !== 'string') throw invalid(name, `filter.${field}.${key}`, `it must be text, ${shown(text)}`);
    }
    return Object.fromEntries(pairs) as Readonly<Record<string, string>>;
  };
  return {
    ...(signals === undefined ? {} : { signals: readSignals(name, signals) }),
    ...(resource === undefined ? {} : { resource: texts('resource', resource) }),
    ...(attributes === undefined ? {} : { attributes: texts('attributes', attributes) }),
  };
}

function readSignals(name: string, value: unknown): (typeof SIGNALS)[number][] {
  if (!Array.isArray(value) || value.length === 0) {
    throw invalid(name, 'filter.signals', `it must be a list of ${SIGNALS.join(', ')}, ${shown(value)}`);
  }
  return [...new Set(value.map((each) => choice(name, 'filter.signals', each, SIGNALS)))];
}

function readEndpoint(name: string, protocol: ExporterConfig['protocol'], value: unknown): string {
  if (typeof value !== 'string' || value === '') throw invalid(name, 'endpoint', 'it must be given, as text');
  if (protocol === 'parquet') {
    if (!isAbsolute(value) || value.includes('\0')) throw invalid(name, 'endpoint', 'it must be an absolute path');
    return value;
  }
  const url = URL.canParse(value) ? new URL(value) : null;
  if (url === null || !['http:', 'https:'].includes(url.protocol) || url.hostname === '') {
    throw invalid(name, 'endpoint', 'it must be an http:// or https:// URL');
  }
  if (url.username !== '' || url.password !== '') {
    throw invalid(name, 'endpoint', 'it must not hold a user or password: send them in a header');
  }
  if (url.search !== '' || url.hash !== '') throw invalid(name, 'endpoint', 'it must not have a query or fragment');
  if (protocol !== 'otlp-http' && url.pathname !== '/') throw invalid(name, 'endpoint', 'gRPC takes no path');
  return value.replace(/\/+$/, '');
}

/** RFC 3339, to nanoseconds. */
const TIME = /^(event:)?\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})$/;

function readFrom(name: string, value: unknown): ExporterFrom {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return String(value);
  const isFrom = typeof value === 'string' && (/^(start|end|\d{1,20})$/.test(value) || TIME.test(value));
  if (!isFrom) throw invalid(name, 'from', `it must be start, end, an offset or a time in RFC 3339, ${shown(value)}`);
  return value;
}

function record(name: string, field: string | null, value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw invalid(name, field, 'it must be an object');
}

function entriesOf(name: string, field: string, value: unknown): [string, unknown][] {
  const entries = Object.entries(record(name, field, value));
  if (entries.length > LIMITS.exporterFieldsMax) {
    throw invalid(name, field, `it must have at most ${LIMITS.exporterFieldsMax} entries`);
  }
  return entries;
}

function refuseUnknown(
  name: string,
  within: string | null,
  fields: Readonly<Record<string, unknown>>,
  known: readonly string[],
): void {
  const unknown = Object.keys(fields).find((field) => !known.includes(field));
  if (unknown === undefined) return;
  const path = within === null ? unknown : `${within}.${unknown}`;
  throw invalid(name, path, `there is no such field: did you mean ${nearest(unknown, known)}?`);
}

function choice<Name extends string>(name: string, field: string, value: unknown, names: readonly Name[]): Name {
  const found = names.find((each) => each === value);
  if (found !== undefined) return found;
  const hint = typeof value === 'string' ? ` (did you mean ${nearest(value, names)}?)` : '';
  throw invalid(name, field, `it must be one of ${names.join(', ')}${hint}, ${shown(value)}`);
}

function optional<Value>(value: unknown, read: (value: unknown) => Value): Value | undefined {
  return value === undefined || value === null ? undefined : read(value);
}

function shown(value: unknown): string {
  return value === undefined ? 'it is missing' : `value is ${JSON.stringify(value).slice(0, 100)}`;
}

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([key, each]) => [key, sorted(each)]),
  );
}

function invalid(name: string, field: string | null, reason: string): TreasuryError {
  const what = field === null ? `exporter ${name}` : `${field} of exporter ${name}`;
  return new TreasuryError('TREASURY_EXPORTER_INVALID', `Cannot use ${what}: ${reason}`, {
    facts: { exporter: name, ...(field === null ? {} : { field }) },
  });
}
