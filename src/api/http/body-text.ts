/** Bodies of requests as text, bounded. */
import type { IncomingMessage } from 'node:http';
import { errorMessage } from '../../base/index.ts';
import { HttpError } from './http-error.ts';

/** The body as text. `invalid` makes the error of one that is not UTF-8. Throws HttpError 400, 413. */
export async function readBodyText(
  request: IncomingMessage,
  bytesMax: number,
  invalid: (message: string) => HttpError,
): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > bytesMax) throw tooLarge(bytesMax);
  try {
    for await (const part of request as AsyncIterable<Buffer>) {
      bytes += part.length;
      if (bytes > bytesMax) throw tooLarge(bytesMax);
      parts.push(part);
    }
  } catch (error) {
    if (error instanceof HttpError) throw error;
    // The client broke off, or its chunks are none.
    throw new HttpError(400, 'TREASURY_BAD_REQUEST', `Cannot read the body: ${errorMessage(error)}`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(parts));
  } catch {
    throw invalid('Cannot read the body: it is not UTF-8');
  }
}

function tooLarge(bytesMax: number): HttpError {
  return new HttpError(413, 'TREASURY_BODY_TOO_LARGE', `Cannot read a body of more than ${bytesMax} bytes`, {
    bytesMax,
  });
}
