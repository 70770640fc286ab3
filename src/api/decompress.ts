/** Undoes the compression of what was received, within a bound. Shared by the transports, which have their own names for formats. */
import { createGunzip, createInflate, createInflateRaw } from 'node:zlib';
import { BatchMalformedError, BatchTooLargeError, errorMessage } from '../base/index.ts';
import { decompressZstd } from '../otap/index.ts';

/** `deflate` is the zlib format (RFC 1950), and raw deflate as well: some senders take the name literally. */
export type CompressionFormat = 'gzip' | 'deflate' | 'zstd';

export interface DecompressOptions {
  readonly bytesMax: number;
  /** Told the bytes of each part as it comes out. What it throws ends the work and is thrown on. */
  readonly onOutput?: (bytes: number) => void;
}

/**
 * The content of `bytes`: gzip members and zstd frames may be many. Rejects with BatchTooLargeError as soon as there is too much of
 * it, with BatchMalformedError for what is truncated, damaged or followed by something else, with another error for what is not the
 * sender's doing. zstd needs `initZstd()` settled.
 */
export async function decompress(
  bytes: Uint8Array,
  format: CompressionFormat,
  options: DecompressOptions,
): Promise<Buffer> {
  if (format !== 'zstd') return inflateWhole(inflaterOf(bytes, format), bytes, options);
  const content = decompressZstd(bytes, options.bytesMax);
  options.onOutput?.(content.length);
  return content;
}

/**
 * One trip to zlib's thread gives this much. Its default of 16 KiB makes a usual message 20 trips; with enough for all of it, it is one,
 * and nothing is put together afterwards.
 */
const OUTPUT_PART_BYTES = { MIN: 64 * 1024, MAX: 1024 * 1024 } as const;
/** What telemetry is worth behind deflate, which does not say its size. */
const USUAL_RATIO = 8;
const GZIP_SIZE_BYTES = 4;

type Inflater = ReturnType<typeof createGunzip | typeof createInflate>;

function inflaterOf(bytes: Uint8Array, format: 'gzip' | 'deflate'): Inflater {
  const options = { chunkSize: outputPartBytes(bytes, format) };
  if (format === 'gzip') return createGunzip(options);
  return hasZlibHeader(bytes) ? createInflate(options) : createInflateRaw(options);
}

/** About the whole content, as the end of a gzip member has it (RFC 1952): only a hint, since anybody may write it. */
function outputPartBytes(bytes: Uint8Array, format: 'gzip' | 'deflate'): number {
  const { length } = bytes;
  const isGzip = format === 'gzip' && length > GZIP_SIZE_BYTES;
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  // With a byte to spare the end of the content is seen on the same trip.
  const hint = isGzip ? view.getUint32(length - GZIP_SIZE_BYTES, true) + 1 : length * USUAL_RATIO;
  return Math.min(OUTPUT_PART_BYTES.MAX, Math.max(OUTPUT_PART_BYTES.MIN, hint));
}

/** Section 2.2 of RFC 1950. Raw deflate would have to begin with a stored block whose padding is not zero to look like it. */
function hasZlibHeader(bytes: Uint8Array): boolean {
  const [method = 0, flags = 0] = bytes;
  return (method & 0x0f) === 8 && method >> 4 <= 7 && ((method << 8) | flags) % 31 === 0;
}

function inflateWhole(inflater: Inflater, bytes: Uint8Array, options: DecompressOptions): Promise<Buffer> {
  const { bytesMax, onOutput } = options;
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let outputBytes = 0;
    const fail = (error: unknown): void => {
      reject(error as Error);
      inflater.destroy();
    };
    inflater.on('data', (part: Buffer) => {
      outputBytes += part.length;
      if (outputBytes > bytesMax) {
        const facts = { bytes: outputBytes, max: bytesMax };
        fail(new BatchTooLargeError(`Cannot decompress: content has more than ${bytesMax} bytes`, facts));
        return;
      }
      try {
        onOutput?.(part.length);
      } catch (error) {
        fail(error);
        return;
      }
      parts.push(part);
    });
    inflater.on('end', () => {
      const { bytesWritten: position } = inflater;
      if (position === bytes.length) resolve(parts.length === 1 ? parts[0]! : Buffer.concat(parts, outputBytes));
      else reject(new BatchMalformedError(`Cannot decompress: the content ends at byte ${position}`, { position }));
    });
    inflater.on('error', (error) => fail(isSenderFault(error) ? malformed(error) : error));
    inflater.end(bytes);
  });
}

/** By the codes of zlib: `Z_DATA_ERROR`, `Z_BUF_ERROR`, `Z_NEED_DICT`... */
function isSenderFault({ code }: NodeJS.ErrnoException): boolean {
  return code !== undefined && code.startsWith('Z_') && code !== 'Z_MEM_ERROR';
}

function malformed(error: Error): BatchMalformedError {
  return new BatchMalformedError(`Cannot decompress: ${errorMessage(error)}`, {}, error);
}
