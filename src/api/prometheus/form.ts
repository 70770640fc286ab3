/** Parameters of a request: those of its form, then those of its URL. */
import type { IncomingMessage } from 'node:http';
import { errorMessage, LIMITS } from '../../base/index.ts';
import type { HeldBytes } from '../held-bytes.ts';
import { quoteText } from '../query/promql/quote.ts';
import { RequestFailure } from './failure.ts';
import { escapeFault, unescapedBytes } from './percent.ts';

export class Form {
  readonly #body: Fields;
  readonly #url: Fields;

  /** Both as they came, a character for each byte. */
  constructor(body: string, url: string) {
    this.#body = readFields(body);
    this.#url = readFields(url);
  }

  /** The first value, '' when there is none. */
  get(name: string): string {
    return this.all(name)[0] ?? '';
  }

  all(name: string): readonly string[] {
    return [...(this.#body.values.get(name) ?? []), ...(this.#url.values.get(name) ?? [])];
  }

  /** Of the URL alone. */
  getOfUrl(name: string): string {
    return this.#url.values.get(name)?.[0] ?? '';
  }

  /** What cannot be read of it, for which there is no parameter; undefined: nothing. */
  get fault(): string | undefined {
    return this.#body.fault ?? this.#url.fault;
  }
}

/** Reads a request's parameters; `url` is what stands behind `?`, `held` counts what large forms take. Throws RequestFailure. */
export async function readForm(request: IncomingMessage, url: string, held: HeldBytes): Promise<Form> {
  const [type = ''] = (request.headers['content-type'] ?? '').split(';');
  const isForm = type.trim().toLowerCase() === 'application/x-www-form-urlencoded';
  return new Form(request.method === 'POST' && isForm ? await readBody(request, held) : '', url);
}

interface Fields {
  readonly values: ReadonlyMap<string, readonly string[]>;
  readonly fault: string | undefined;
}

/** As Go reads forms, which leaves out what it cannot read; URLSearchParams would read something into it. */
function readFields(text: string): Fields {
  const values = new Map<string, string[]>();
  let fault: string | undefined;
  const pairs = text.split('&', LIMITS.prometheusParametersMax + 1);
  if (pairs.length > LIMITS.prometheusParametersMax) {
    return { values, fault: 'number of URL query parameters exceeded limit' };
  }
  for (const pair of pairs) {
    if (pair === '') continue;
    const complaint = faultOf(pair);
    fault ??= complaint;
    if (complaint !== undefined) continue;
    const at = pair.indexOf('=');
    const name = unescaped(at === -1 ? pair : pair.slice(0, at));
    const value = at === -1 ? '' : unescaped(pair.slice(at + 1));
    const known = values.get(name);
    if (known === undefined) values.set(name, [value]);
    else known.push(value);
  }
  return { values, fault };
}

function faultOf(pair: string): string | undefined {
  if (pair.includes(';')) return 'invalid semicolon separator in query';
  const escape = escapeFault(pair);
  return escape === undefined ? undefined : `invalid URL escape ${quoteText(escape)}`;
}

/** Bytes that are no UTF-8 become U+FFFD, which PromQL takes for no character. */
function unescaped(text: string): string {
  if (!/[%+\u0080-\u00ff]/.test(text)) return text;
  return unescapedBytes(text.replaceAll('+', ' ')).toString('utf8');
}

async function readBody(request: IncomingMessage, held: HeldBytes): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  let hasRoom = true;
  try {
    for await (const part of request as AsyncIterable<Buffer>) {
      bytes += part.length;
      // What is refused is read on for a while: a client that still sends would find a broken connection and no answer.
      if (bytes > 2 * LIMITS.prometheusFormBytesMax) break;
      if (bytes > LIMITS.prometheusSmallFormBytesMax) hasRoom &&= held.take(part.length);
      if (hasRoom && bytes <= LIMITS.prometheusFormBytesMax) parts.push(part);
      else parts.length = 0;
    }
  } catch (error) {
    throw new RequestFailure('bad_data', `error parsing form values: ${errorMessage(error)}`);
  }
  if (bytes > LIMITS.prometheusFormBytesMax)
    throw new RequestFailure('bad_data', 'error parsing form values: http: request body too large');
  if (!hasRoom) throw new RequestFailure('unavailable', 'Cannot read the form: other large ones are being read');
  return Buffer.concat(parts).toString('latin1');
}
