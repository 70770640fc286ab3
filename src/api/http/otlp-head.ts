/** What the head of a request for telemetry says of its body. */
import type { IncomingMessage } from 'node:http';
import type { Signal } from '../../base/index.ts';
import { isOtlpContentType, OTLP_CONTENT_TYPES, type OtlpContentType } from '../../otap/index.ts';
import type { CompressionFormat } from '../decompress.ts';
import { OtlpHttpError } from './otlp-error.ts';

export interface OtlpHead {
  readonly contentType: OtlpContentType;
  readonly compression: CompressionFormat | 'none';
  /** `Content-Length`; null for a body in chunks. */
  readonly announcedBytes: number | null;
  /** The most that the body may have on the wire, and behind its compression. */
  readonly bytesMax: BodyBounds;
}

/** Bounds of a body. */
export interface BodyBounds {
  readonly wire: number;
  readonly decompressed: number;
}

/** The signal of a request's path, or null for paths that are not served. The query string does not matter. */
export function signalOfPath(target: string | undefined): Signal | null {
  // Cut by hand: whatever a peer writes as its target is a path here, and nothing that a parser could refuse.
  return SIGNALS_BY_PATH.get((target ?? '').replace(ABSOLUTE_FORM, '').split('?', 1)[0] as string) ?? null;
}

/** What clients of a proxy put before the path (RFC 9112, section 3.2.2), and whoever gets it has to take. */
const ABSOLUTE_FORM = /^https?:\/\/[^/?]*/i;

/** Reads the head of a POST. Throws OtlpHttpError 413, 415 or 501. */
export function readOtlpHead(
  request: IncomingMessage,
  boundsOf: (contentType: OtlpContentType) => BodyBounds,
): OtlpHead {
  const { headers } = request;
  const contentType = supportedContentType(headers['content-type']);
  const bytesMax = boundsOf(contentType);
  const head = {
    contentType,
    bytesMax,
    compression: compressionOf(headers['content-encoding']),
    announcedBytes: announcedBytes(request),
  };
  const { announcedBytes: bytes } = head;
  if (bytes !== null && bytes > bytesMax.wire) throw bodyTooLarge(bytesMax.wire);
  return head;
}

/** The media type of `Content-Type` when OTLP has it, or null. */
export function otlpContentType(header: string | undefined): OtlpContentType | null {
  const mediaType = (header ?? '').split(';', 1)[0]!.trim().toLowerCase();
  return isOtlpContentType(mediaType) ? mediaType : null;
}

/** The error for a body of more than `bytesMax` on the wire. */
export function bodyTooLarge(bytesMax: number): OtlpHttpError {
  return new OtlpHttpError(413, `Cannot read a body of more than ${bytesMax} bytes`);
}

const SIGNALS_BY_PATH: ReadonlyMap<string, Signal> = new Map([
  ['/v1/logs', 'logs'],
  ['/v1/traces', 'traces'],
  ['/v1/metrics', 'metrics'],
]);

const CONTENT_TYPES = Object.values(OTLP_CONTENT_TYPES).join(', ');

/** ASCII is UTF-8, too. */
const UTF8_CHARSET = /^charset\s*=\s*"?(utf-?8|us-ascii)"?$/;

function supportedContentType(header: string | undefined): OtlpContentType {
  const contentType = otlpContentType(header);
  if (contentType === null) {
    const what = header === undefined ? 'of no type' : `of type ${header}`;
    throw unsupported(`Cannot read a body ${what}: supported are ${CONTENT_TYPES}`, { Accept: CONTENT_TYPES });
  }
  const parameters = (header ?? '')
    .split(';')
    .slice(1)
    .map((parameter) => parameter.trim().toLowerCase());
  const charset = parameters.find((parameter) => parameter.startsWith('charset'));
  if (contentType === OTLP_CONTENT_TYPES.JSON && charset !== undefined && !UTF8_CHARSET.test(charset)) {
    throw unsupported(`Cannot read a body with ${charset}: it must be UTF-8`, { Accept: CONTENT_TYPES });
  }
  return contentType;
}

/** Names of the Collector, too: `zlib`, and the empty one. */
const COMPRESSIONS: ReadonlyMap<string, OtlpHead['compression']> = new Map([
  ['', 'none'],
  ['none', 'none'],
  ['identity', 'none'],
  ['gzip', 'gzip'],
  ['x-gzip', 'gzip'],
  ['deflate', 'deflate'],
  ['zlib', 'deflate'],
  ['zstd', 'zstd'],
]);
const CONTENT_ENCODINGS = 'gzip, deflate, zlib, zstd, identity';

function compressionOf(header: string | undefined): OtlpHead['compression'] {
  const compression = COMPRESSIONS.get((header ?? '').trim().toLowerCase());
  if (compression === undefined) {
    throw unsupported(`Cannot read a body encoded as ${header}: supported is one of ${CONTENT_ENCODINGS}`, {
      'Accept-Encoding': CONTENT_ENCODINGS,
    });
  }
  return compression;
}

function announcedBytes({ headers }: IncomingMessage): number | null {
  const coding = headers['transfer-encoding'];
  if (coding === undefined) return Number(headers['content-length'] ?? 0);
  if (coding.trim().toLowerCase() === 'chunked') return null;
  throw new OtlpHttpError(501, `Cannot read a body transferred as ${coding}: supported is chunked`);
}

function unsupported(message: string, headers: Readonly<Record<string, string>>): OtlpHttpError {
  return new OtlpHttpError(415, message, headers);
}
