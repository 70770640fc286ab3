/** Values of options and arguments as they are written on a command line. What is not allowed throws an Error that says what is. */
import { nearest } from './base/index.ts';

/** A host and port to listen on. */
export interface ListenAddress {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
}

/** Any text but none. */
export function nonEmpty(text: string): string {
  if (text === '') throw new Error('it must not be empty');
  return text;
}

/** One of the names. */
export function oneOf<Name extends string>(names: readonly Name[]): (text: string) => Name {
  return (text) => {
    const name = names.find((each) => each === text);
    if (name === undefined)
      throw new Error(`it must be one of ${names.join(', ')} (did you mean ${nearest(text, names)}?)`);
    return name;
  };
}

/** An offset of the log. */
export function wholeOffset(text: string): bigint {
  if (!/^\d{1,20}$/.test(text)) throw new Error('it must be a whole number');
  return BigInt(text);
}

/** A whole number between bounds, both included. */
export function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) throw new Error(`it must be a whole number from ${min} to ${max}`);
    return value;
  };
}

/** `HOST:PORT`. */
export function listenAddress(text: string): ListenAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw new Error('it must be HOST:PORT, such as 127.0.0.1:4317 or [::1]:4317');
  return { host: (match[1] ?? match[2]) as string, port };
}

/** One `*` for any part of the host or the port; no path behind it. */
const ORIGIN_PATTERN = /^[a-z][a-z0-9+.-]*:\/\/(?!.*\*.*\*)[^\s/?#@\\]+$/;

/** Origins of web pages, separated by commas. */
export function webOrigins(text: string): readonly string[] {
  if (text === '' || text === 'none') return [];
  const origins = text.split(',').map((origin) => origin.trim().toLowerCase());
  const isOrigin = (origin: string): boolean => ORIGIN_PATTERN.test(origin) && URL.canParse(origin.replace('*', '1'));
  if (origins.length === 1 && origins[0] === '*') return origins;
  if (!origins.every(isOrigin)) {
    throw new Error(
      'it must be none, * or origins separated by commas, such as https://app.example.com or https://*.example.com',
    );
  }
  return origins;
}

/** Names of a list separated by commas, or none. Without `names`: any. */
export function nameList<Name extends string>(names?: readonly Name[]): (text: string) => readonly Name[] {
  return (text) => {
    if (text === '' || text === 'none') return [];
    const given = text.split(',').map((name) => name.trim());
    if (given.includes('')) throw new Error('it must be none or names separated by commas');
    return names === undefined ? (given as Name[]) : given.map(oneOf(names));
  };
}

/** A base URL, without a slash at its end. */
export function httpUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw new Error('it must be an http:// or https:// URL');
  return text.replace(/\/+$/, '');
}

const LOG_ACTIONS = ['ls', 'cat', 'verify'];

/** Flags of `log` that mean something to `cat` alone. */
const CAT_FLAGS = ['offset', 'limit', 'decoded', 'row', 'table', 'raw'];
/** Flags that `--row` leaves no use for. */
const ROWLESS_FLAGS = ['limit', 'decoded', 'raw'];

/** What is wrong with the action, the offset and the flags of `log` together, or null. */
export function logArgumentsFault(
  [action, offset]: readonly string[],
  flags: Readonly<Record<string, string | boolean | undefined>>,
): string | null {
  if (action !== undefined && !LOG_ACTIONS.includes(action)) {
    return `Unknown action ${action} of log: did you mean ${nearest(action, LOG_ACTIONS)}?`;
  }
  if (offset !== undefined && (action !== 'cat' || !/^\d{1,20}$/.test(offset))) {
    return `Cannot use OFFSET: it must be a whole number and goes with cat, value is ${JSON.stringify(offset)}`;
  }
  const flag = action === 'cat' ? undefined : CAT_FLAGS.find((name) => flags[name] !== undefined);
  if (flag !== undefined) return `Cannot use --${flag}: it goes with cat, action is ${action}`;
  if (offset !== undefined && flags['offset'] !== undefined) {
    return `Cannot use --offset: OFFSET is given already, value is ${offset}`;
  }
  const traces = flags['row'] !== undefined;
  if (traces && offset === undefined && flags['offset'] === undefined) {
    return `Cannot use --row: it goes with --offset, value is ${JSON.stringify(flags['row'])}`;
  }
  const useless = ROWLESS_FLAGS.find((name) => traces && flags[name] !== undefined);
  if (useless !== undefined) return `Cannot use --${useless}: it does not go with --row`;
  if (flags['table'] !== undefined && !traces) {
    return `Cannot use --table: it goes with --row, value is ${JSON.stringify(flags['table'])}`;
  }
  if (flags['raw'] === true && flags['decoded'] === true) {
    return 'Cannot use --raw: it does not go with --decoded';
  }
  return null;
}

/** Where a pull begins. A time is the first entry received then or later. */
export type PullStart = bigint | 'start' | 'end' | { readonly time: string };

const TIME = /^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d))?$/;

/** An offset, `start`, `end`, a time or a day in UTC. Null: `auto`. */
export function pullStart(text: string): PullStart | null {
  if (text === 'auto') return null;
  if (text === 'start' || text === 'end') return text;
  if (/^\d{1,20}$/.test(text)) return BigInt(text);
  if (!TIME.test(text))
    throw new Error('it must be an offset, start, end, auto or a time such as 2026-11-22T10:00:00Z');
  return { time: text.includes('T') ? text : `${text}T00:00:00Z` };
}

/** What a pull writes. */
export const PULL_FORMATS = ['parquet', 'delta', 'arrow', 'stdout'] as const;
export type PullFormat = (typeof PULL_FORMATS)[number];

const PULL_PATHS: Readonly<Record<PullFormat, string | null>> = {
  parquet: 'DIR',
  delta: 'DIR',
  arrow: 'FILE',
  stdout: null,
};

/** What is wrong with the destination of `pull`, or null. */
export function pullArgumentsFault([path]: readonly string[], to: PullFormat | null): string | null {
  const usage = 'parquet DIR, delta DIR, arrow FILE or stdout';
  if (to === null) return `Cannot pull: --to is missing, it must be ${usage}`;
  const wanted = PULL_PATHS[to];
  if (wanted === null) {
    return path === undefined ? null : `Cannot use --to stdout: nothing goes with it, value is ${JSON.stringify(path)}`;
  }
  return path === undefined || path === '' ? `Cannot use --to ${to}: ${wanted} is missing behind it` : null;
}
