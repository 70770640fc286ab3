/** Answers on their way to the client: compressed when it asks for gzip, no faster than it reads. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline, Readable } from 'node:stream';
import { constants, createGzip } from 'node:zlib';
import { writePaced } from '../pull/paced-answer.ts';

/** Sends a whole answer. Cuts the connection when the client does not read, or when `chunks` throws, which is thrown on. */
export async function sendJson(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  chunks: AsyncIterable<Uint8Array>,
): Promise<void> {
  const isCompressed = acceptsGzip(request.headers['accept-encoding']);
  response.writeHead(status, {
    'Content-Type': 'application/json',
    Vary: 'Accept-Encoding, Origin',
    ...(isCompressed ? { 'Content-Encoding': 'gzip' } : {}),
  });
  try {
    const end = await writePaced(response, isCompressed ? compressed(chunks) : chunks, UNCOUNTED);
    if (end === 'whole') response.end();
    else response.destroy();
  } catch (error) {
    response.destroy();
    throw error;
  }
}

const UNCOUNTED = { sent: () => {}, stalled: () => {} };

/** Never another encoding: Grafana passes on what browsers accept and understands gzip alone. */
function acceptsGzip(header: string | string[] | undefined): boolean {
  return String(header ?? '')
    .split(',')
    .some((part) => {
      const [name = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase());
      return name === 'gzip' && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
    });
}

/** Fast rather than small: most answers stay on the machine or in its network. */
function compressed(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const gzip = createGzip({ level: constants.Z_BEST_SPEED });
  // What fails reaches the reader of `gzip`.
  pipeline(Readable.from(chunks), gzip, () => {});
  return gzip as AsyncIterable<Uint8Array>;
}
