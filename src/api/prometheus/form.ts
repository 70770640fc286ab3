/** Parameters of a request: those of its form, then those of its URL. */
import type { IncomingMessage } from 'node:http';
import { errorMessage, LIMITS } from '../../base/index.ts';
import { RequestFailure } from './failure.ts';

export class Form {
  readonly #body: URLSearchParams;
  readonly #url: URLSearchParams;

  constructor(body: string, url: string) {
    this.#body = new URLSearchParams(body);
    this.#url = new URLSearchParams(url);
  }

  /** The first value, '' when there is none. */
  get(name: string): string {
    return this.#body.get(name) ?? this.#url.get(name) ?? '';
  }

  all(name: string): readonly string[] {
    return [...this.#body.getAll(name), ...this.#url.getAll(name)];
  }

  /** Of the URL alone. */
  getOfUrl(name: string): string {
    return this.#url.get(name) ?? '';
  }
}

/** Reads a request's parameters; `url` is what stands behind `?`. Throws RequestFailure. */
export async function readForm(request: IncomingMessage, url: string): Promise<Form> {
  const [type = ''] = (request.headers['content-type'] ?? '').split(';');
  const isForm = type.trim().toLowerCase() === 'application/x-www-form-urlencoded';
  return new Form(request.method === 'POST' && isForm ? await readBody(request) : '', url);
}

async function readBody(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const part of request as AsyncIterable<Buffer>) {
      bytes += part.length;
      // What is too much is read on for a while: a client that still sends would find a broken connection and no answer.
      if (bytes > 2 * LIMITS.prometheusFormBytesMax) break;
      if (bytes <= LIMITS.prometheusFormBytesMax) parts.push(part);
    }
  } catch (error) {
    throw new RequestFailure('bad_data', `error parsing form values: ${errorMessage(error)}`);
  }
  if (bytes > LIMITS.prometheusFormBytesMax)
    throw new RequestFailure('bad_data', 'error parsing form values: http: request body too large');
  return Buffer.concat(parts).toString('utf8');
}
