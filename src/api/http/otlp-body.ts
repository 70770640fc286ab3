/** Reads the body of a request as it comes: counted, bounded, and given up when it stalls. */
import type { IncomingMessage } from 'node:http';
import type { ArrivingBodies } from './otlp-arriving.ts';
import { OtlpHttpError } from './otlp-error.ts';
import { bodyTooLarge } from './otlp-head.ts';

export interface BodyOptions {
  readonly bytesMax: number;
  /** `Content-Length`; null for a body in chunks. */
  readonly announcedBytes: number | null;
  /** Accounts for what has come; not for what was announced. */
  readonly arriving: ArrivingBodies;
  /** Time without a byte after which the body is given up. */
  readonly stallMaxMs: number;
}

export interface BodyReading {
  /** The whole body; null when the sender left before its end. Rejects with OtlpHttpError 413, 503, or what `fail` was given. */
  readonly body: Promise<Buffer | null>;
  /** The body no longer counts among those that arrive. Only one that is whole has to be released. */
  release(): void;
  /** Gives up; false when the end had come before. */
  fail(error: OtlpHttpError): boolean;
}

/** Begins to read. Once it has settled, what else comes of the body is discarded. */
export function readBody(request: IncomingMessage, options: BodyOptions): BodyReading {
  const { bytesMax, announcedBytes, stallMaxMs } = options;
  let fail!: (error: OtlpHttpError) => boolean;
  let isOver = false;
  const arriving = options.arriving.open(() => fail(noRoom()));
  const body = new Promise<Buffer | null>((resolve, reject) => {
    const collected = createCollector(announcedBytes ?? bytesMax);
    const stall = setTimeout(() => {
      // Not 408: exporters give a request up for it, and may have no part in what holds their bytes back.
      fail(new OtlpHttpError(503, `Cannot wait for the body: no byte of it came for ${stallMaxMs} ms`));
    }, stallMaxMs);
    function take(part: Buffer): void {
      stall.refresh();
      if (collected.bytes + part.length > bytesMax) fail(bodyTooLarge(bytesMax));
      else if (arriving.take(part.length)) collected.add(part);
      else fail(noRoom());
    }
    function end(): void {
      arriving.complete();
      stop();
      resolve(collected.content());
    }
    function leave(): void {
      arriving.release();
      stop();
      resolve(null);
    }
    function stop(): void {
      isOver = true;
      clearTimeout(stall);
      request.off('data', take).off('end', end).off('close', leave);
    }
    fail = (error) => {
      if (isOver) return false;
      arriving.release();
      stop();
      reject(error);
      return true;
    };
    // It may have left while it waited to be read.
    if (request.destroyed) leave();
    else request.on('data', take).on('end', end).on('close', leave);
  });
  return { body, fail, release: () => arriving.release() };
}

function noRoom(): OtlpHttpError {
  return new OtlpHttpError(503, 'Cannot take the request now: too many bytes are arriving');
}

/** What a body that comes in more than one part gets at first. Not more: senders announce what they like. */
const CAPACITY_BYTES_MIN = 64 * 1024;

interface Collector {
  readonly bytes: number;
  add(part: Buffer): void;
  content(): Buffer;
}

/** Puts parts together as they come: a list of them would cost a sender of single bytes nothing, and us hundreds for each. */
function createCollector(bytesMax: number): Collector {
  let store: Buffer = Buffer.alloc(0);
  let bytes = 0;
  return {
    get bytes() {
      return bytes;
    },
    add(part) {
      const needed = bytes + part.length;
      if (bytes === 0) {
        store = part;
      } else {
        if (needed > store.length) store = grown(store, Math.max(needed, capacityAbove(needed, bytesMax)));
        part.copy(store, bytes);
      }
      bytes = needed;
    },
    content: () => store.subarray(0, bytes),
  };
}

function capacityAbove(bytes: number, bytesMax: number): number {
  return Math.min(bytesMax, Math.max(CAPACITY_BYTES_MIN, bytes * 2));
}

function grown(store: Buffer, capacity: number): Buffer {
  const larger = Buffer.allocUnsafeSlow(capacity);
  store.copy(larger);
  return larger;
}
