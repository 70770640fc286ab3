/** Exporters as one line: `NAME=URL` on the command line, `URL` for a command. What is not allowed throws an Error that says what is. */
import { resolve } from 'node:path';
import { nearest, type Signal, SIGNALS } from './base/index.ts';

/** What a URL says of an exporter, in the fields of its configuration. */
export interface ExportTarget {
  readonly protocol: 'otap' | 'otlp-grpc' | 'otlp-http' | 'parquet';
  readonly endpoint: string;
  readonly compression?: 'zstd' | 'gzip' | 'none';
  readonly headers?: Readonly<Record<string, string>>;
  readonly tls?: Readonly<Record<string, string | boolean>>;
  readonly inFlight?: number;
  readonly filter?: {
    readonly signals?: readonly Signal[];
    readonly resource?: Readonly<Record<string, string>>;
    readonly attributes?: Readonly<Record<string, string>>;
  };
  readonly retention?: 'drop' | 'hold';
  readonly from?: string;
}

export interface NamedExport extends ExportTarget {
  readonly name: string;
}

/** `NAME=URL`. */
export function namedExport(text: string): NamedExport {
  const match = /^([a-z0-9][a-z0-9_-]{0,62})=(.*)$/s.exec(text);
  if (match === null) {
    throw new Error(
      'it must be NAME=URL, with a name of 1 to 63 of a-z, 0-9, _ and -, such as backup=otlp://host:4317',
    );
  }
  return { name: match[1] as string, ...exportTarget(match[2] as string) };
}

/** The target of a URL, such as `otlp://host:4317?signal=logs`. */
export function exportTarget(url: string): ExportTarget {
  const [, address = '', query = ''] = /^([^?]*)\??(.*)$/s.exec(url) ?? [];
  const folder = /^parquet:(.*)$/s.exec(address);
  if (folder !== null) {
    const path = decoded(folder[1] as string);
    if (path === '') throw new Error('it must name a folder, such as parquet:/backup');
    return { protocol: 'parquet', endpoint: resolve(path), ...parameters(query) };
  }
  const scheme = /^([a-z+]+):\/\//i.exec(address)?.[1]?.toLowerCase();
  const known = Object.keys(SCHEMES);
  if (scheme === undefined || !(scheme in SCHEMES)) {
    const hint = scheme === undefined ? '' : ` (did you mean ${nearest(scheme, known)}?)`;
    throw new Error(`its URL must begin with ${known.map((each) => `${each}://`).join(', ')} or parquet:${hint}`);
  }
  const { protocol, tls, port } = SCHEMES[scheme as keyof typeof SCHEMES];
  return {
    protocol,
    endpoint: endpointOf(address.slice(scheme.length + 3), { protocol, tls, port }),
    ...parameters(query),
  };
}

/** The text without what may be secret in it. */
export function redactedExport(text: string): string {
  return text.replace(/\/\/[^/?#]*@/, '//***@').replace(/((?:^|[?&])header[^=&]*=)[^&]*/gi, '$1***');
}

interface Scheme {
  readonly protocol: ExportTarget['protocol'];
  readonly tls: boolean;
  /** Where none is given. */
  readonly port: number;
}

const SCHEMES = {
  otap: { protocol: 'otap', tls: false, port: 4317 },
  'otap+https': { protocol: 'otap', tls: true, port: 4317 },
  otlp: { protocol: 'otlp-grpc', tls: false, port: 4317 },
  otlps: { protocol: 'otlp-grpc', tls: true, port: 4317 },
  'otlp+http': { protocol: 'otlp-http', tls: false, port: 4318 },
  'otlp+https': { protocol: 'otlp-http', tls: true, port: 443 },
} as const satisfies Record<string, Scheme>;

const COMPRESSIONS = ['zstd', 'gzip', 'none'] as const;
const RETENTIONS = ['drop', 'hold'] as const;
const TLS_FILES = ['caFile', 'certFile', 'keyFile'];
const TLS_FIELDS = [...TLS_FILES, 'serverName', 'skipVerify'];
const PARAMETERS = [
  'compression',
  'from',
  'retention',
  'signal',
  'inFlight',
  'resource.KEY',
  'attribute.KEY',
  'header.NAME',
  ...TLS_FIELDS.map((field) => `tls.${field}`),
];

function endpointOf(rest: string, { protocol, tls, port }: Scheme): string {
  const [, authority = '', path = ''] = /^([^/]*)(.*)$/s.exec(rest) ?? [];
  if (authority.includes('@')) throw new Error('it must not hold a user or password: send them in a header');
  const withPort = /:\d+$/.test(authority) ? authority : `${authority}:${port}`;
  const endpoint = `${tls ? 'https' : 'http'}://${withPort}${path}`.replace(/\/+$/, '');
  if (authority === '' || !URL.canParse(endpoint)) throw new Error('it must name a host, such as otlp://host:4317');
  if (protocol !== 'otlp-http' && path.replace(/\/+$/, '') !== '') throw new Error('gRPC takes no path');
  return endpoint;
}

function parameters(query: string): Omit<ExportTarget, 'protocol' | 'endpoint'> {
  const single: Record<string, string> = {};
  const signals: Signal[] = [];
  const maps: Record<'resource' | 'attribute' | 'header', Record<string, string>> = {
    resource: {},
    attribute: {},
    header: {},
  };
  const tls: Record<string, string | boolean> = {};
  for (const pair of query.split('&').filter((each) => each !== '')) {
    const [name = '', value = ''] = split(pair).map(decoded);
    const map = /^(resource|attribute|header)\.(.+)$/s.exec(name);
    if (map !== null) maps[map[1] as keyof typeof maps][map[2] as string] = value;
    else if (name.startsWith('tls.') && TLS_FIELDS.includes(name.slice(4))) tls[name.slice(4)] = tlsValue(name, value);
    else if (name === 'signal') signals.push(...value.split(',').map((each) => oneOf('signal', each, SIGNALS)));
    else if (['compression', 'from', 'retention', 'inFlight'].includes(name)) single[name] = value;
    else throw new Error(`its URL has no parameter ${name}: did you mean ${nearest(name, PARAMETERS)}?`);
  }
  const { compression, from, retention, inFlight } = single;
  const filter = {
    ...(signals.length === 0 ? {} : { signals: [...new Set(signals)] }),
    ...(isEmpty(maps.resource) ? {} : { resource: maps.resource }),
    ...(isEmpty(maps.attribute) ? {} : { attributes: maps.attribute }),
  };
  return {
    ...(compression === undefined ? {} : { compression: oneOf('compression', compression, COMPRESSIONS) }),
    ...(isEmpty(maps.header) ? {} : { headers: maps.header }),
    ...(isEmpty(tls) ? {} : { tls }),
    ...(inFlight === undefined ? {} : { inFlight: wholeNumber('inFlight', inFlight) }),
    ...(isEmpty(filter) ? {} : { filter }),
    ...(retention === undefined ? {} : { retention: oneOf('retention', retention, RETENTIONS) }),
    ...(from === undefined ? {} : { from }),
  };
}

function split(pair: string): [string, string] {
  const at = pair.indexOf('=');
  return at === -1 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Error('a % in it must begin an escape such as %20');
  }
}

function oneOf<Name extends string>(parameter: string, value: string, names: readonly Name[]): Name {
  const found = names.find((each) => each === value);
  if (found !== undefined) return found;
  throw new Error(`${parameter} must be one of ${names.join(', ')} (did you mean ${nearest(value, names)}?)`);
}

/** Files as absolute paths: the server may run in another folder. */
function tlsValue(parameter: string, value: string): string | boolean {
  const field = parameter.slice('tls.'.length);
  if (field === 'skipVerify') return oneOf(parameter, value, ['true', 'false']) === 'true';
  if (value === '') throw new Error(`${parameter} must not be empty`);
  return TLS_FILES.includes(field) ? resolve(value) : value;
}

function wholeNumber(parameter: string, value: string): number {
  if (/^\d{1,4}$/.test(value)) return Number(value);
  throw new Error(`${parameter} must be a whole number, value is ${JSON.stringify(value)}`);
}

function isEmpty(fields: object): boolean {
  return Object.keys(fields).length === 0;
}
