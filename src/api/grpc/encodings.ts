/** Message encodings of gRPC (`grpc-encoding`): what may arrive, and how it is undone within a bound. */
import { BatchMalformedError, errorMessage } from '../../base/index.ts';
import { type CompressionFormat, decompress } from '../decompress.ts';
import { status as grpcStatus, Metadata } from './grpc-js.ts';
import { FRAME_HEADER_BYTES } from './hooks.ts';

/**
 * The content of one gRPC message: `frame` is the message with its 5-byte header, `encoding` the call's `grpc-encoding` or
 * `identity`. The content has at most `maxBytes`. Never rejects: what cannot be read comes back as the status to end the call with.
 */
export async function decodeFrame(frame: Buffer, encoding: string, maxBytes: number): Promise<ReceivedMessage> {
  const flags = frame[0];
  const content = frame.subarray(FRAME_HEADER_BYTES);
  if (flags === UNCOMPRESSED_FLAG) return content;
  if (flags !== COMPRESSED_FLAG) return unreadable(`Cannot read a message: its flags are ${flags}`);
  if (encoding === 'identity')
    return unreadable('Cannot read a message: it is compressed, but the call has no encoding');
  const format = FORMATS.get(encoding);
  if (format === undefined) return unsupported(encoding);
  try {
    return await decompress(content, format, { bytesMax: maxBytes });
  } catch (error) {
    if (error instanceof BatchMalformedError)
      return unreadable(`Cannot decompress a message (${encoding}): ${errorMessage(error)}`);
    // Not the sender's doing (memory, say): it may resend.
    return unavailable(`Cannot decompress a message (${encoding})`);
  }
}

/** A message as handlers get it: its bytes, or why it has none. */
export type ReceivedMessage = Buffer | UnreadableMessage;

/**
 * A message that cannot be read, as the status of the call. Damaged and too large are INVALID_ARGUMENT (sending it again will not
 * help; exporters treat RESOURCE_EXHAUSTED in as many ways as there are exporters), an unknown encoding is UNIMPLEMENTED.
 */
export interface UnreadableMessage {
  readonly code: number;
  readonly details: string;
  readonly metadata?: Metadata;
}

/** The status for a message that the sender has to change. */
export function unreadable(details: string): UnreadableMessage {
  return { code: grpcStatus.INVALID_ARGUMENT, details: printable(details) };
}

/** The status for what the sender may try again. */
export function unavailable(details: string): UnreadableMessage {
  return { code: grpcStatus.UNAVAILABLE, details: printable(details) };
}

const UNCOMPRESSED_FLAG = 0;
const COMPRESSED_FLAG = 1;

/** Levels of the names that Go exporters register for Arrow streams (`zstdarrow5` by default): plain zstd frames, all of them. */
const ZSTD_ARROW_LEVELS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

const FORMATS: ReadonlyMap<string, CompressionFormat> = new Map<string, CompressionFormat>([
  ['gzip', 'gzip'],
  ['deflate', 'deflate'],
  ['zstd', 'zstd'],
  ...ZSTD_ARROW_LEVELS.map((level): [string, CompressionFormat] => [`zstdarrow${level}`, 'zstd']),
]);

/** Value of the `grpc-accept-encoding` header that every answer carries. */
export const ACCEPT_ENCODING = ['identity', ...FORMATS.keys()].join(',');

function unsupported(encoding: string): UnreadableMessage {
  const metadata = new Metadata();
  metadata.set('grpc-accept-encoding', ACCEPT_ENCODING);
  const details = printable(`Cannot decompress a message: the encoding is ${JSON.stringify(encoding)}`);
  return { code: grpcStatus.UNIMPLEMENTED, details, metadata };
}

/** Longest text sent back in a status: enough for a reason, little enough for any header limit. */
const DETAILS_LENGTH_MAX = 512;

/** `text` as it may stand in a status: grpc-js throws on lone surrogates there, and received names may hold anything. */
export function printable(text: string): string {
  return text.slice(0, DETAILS_LENGTH_MAX).replace(/[^\x20-\x7e]/g, '?');
}
