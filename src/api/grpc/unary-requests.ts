/**
 * Unary requests while they arrive. A gRPC library keeps the bytes of a message until it is whole, and nothing of it has met our
 * admission by then: here they are counted from the first one, over all calls, and a call that would be too much, or that takes too
 * long, is refused. A whole message waits as it came, compressed, until its handler takes it.
 */
import type { ServerHttp2Stream } from 'node:http2';
import { type UnreadableMessage, unavailable } from './encodings.ts';

export interface UnaryRequestsOptions {
  /** Bound of all that has arrived and was not taken: above the size of one message. */
  readonly waitingBytesMax: number;
  /** From the first sign of a call to its half-close. */
  readonly receiveMaxMs: number;
  /** Time for a client to end a call that was refused before it is cut. */
  readonly endMaxMs: number;
  /** A call was refused before its handler got it; returns the status it ends with. */
  readonly refused: (path: string, refusal: UnreadableMessage) => UnreadableMessage;
}

/** The unary requests of one server. */
export interface UnaryRequests {
  /** Bytes that have arrived and were not taken. */
  readonly waitingBytes: number;
  /** Begins to count a call. `end` ends it with a status. */
  open(path: string, stream: ServerHttp2Stream, end: (status: UnreadableMessage) => void): UnaryRequest;
  /** Refuses all that have not arrived, from now on. */
  drain(): void;
}

/** One of them. */
export interface UnaryRequest {
  /** Its handler got it: it is whole, and no longer refused here. When it came, by `performance.now()`. */
  begin(): number;
  /**
   * The message with its 5-byte header, and its encoding; null when the call was cut. Its bytes count until `release`, or until the
   * call is over.
   */
  take(): { readonly frame: Buffer; readonly encoding: string } | null;
  release(): void;
  /** The message is whole. */
  arrived(frame: Buffer, encoding: string): void;
  /** Ends the call, unless its handler has begun. */
  refuse(refusal: UnreadableMessage): void;
}

/** What a chunk costs beside its bytes: a sender of single bytes would have us keep an object for each. */
const CHUNK_BYTES = 256;

/** Makes the books of one server. */
export function createUnaryRequests(options: UnaryRequestsOptions): UnaryRequests {
  const { waitingBytesMax, receiveMaxMs, endMaxMs } = options;
  const arriving = new Set<UnaryRequest>();
  const stopping = (): UnreadableMessage => unavailable('Cannot take the request: the server is stopping');
  let isDraining = false;
  let waitingBytes = 0;

  function open(path: string, stream: ServerHttp2Stream, end: (status: UnreadableMessage) => void): UnaryRequest {
    let ownBytes = 0;
    let message: { frame: Buffer; encoding: string } | null = null;
    let arrivedMs = 0;
    const late = `Cannot take the request: it has not arrived after ${receiveMaxMs} ms`;
    const timer = setTimeout(() => request.refuse(unavailable(late)), receiveMaxMs).unref();

    function count(chunk: Buffer): void {
      if (!arriving.has(request)) return;
      const bytes = chunk.length + CHUNK_BYTES;
      waitingBytes += bytes;
      ownBytes += bytes;
      if (waitingBytes <= waitingBytesMax) return;
      request.refuse(unavailable('Cannot take the request: too many bytes are waiting'));
    }

    function settle(): void {
      arriving.delete(request);
      clearTimeout(timer);
    }

    const request: UnaryRequest = {
      begin() {
        settle();
        return arrivedMs;
      },
      take: () => message,
      release() {
        waitingBytes -= ownBytes;
        ownBytes = 0;
        message = null;
      },
      arrived(frame, encoding) {
        arrivedMs = performance.now();
        message = { frame, encoding };
      },
      refuse(refusal) {
        if (!arriving.has(request)) return;
        settle();
        request.release();
        end(options.refused(path, refusal));
        // The peer may go on sending what nobody keeps.
        const cut = setTimeout(() => stream.close(), endMaxMs).unref();
        stream.once('close', () => clearTimeout(cut));
      },
    };
    arriving.add(request);
    // Ahead of the library's listener: what is one too many is not kept even for a moment.
    stream.prependListener('data', count);
    stream.once('close', () => {
      settle();
      request.release();
    });
    // Not at once: the library is still building the call.
    if (isDraining) process.nextTick(() => request.refuse(stopping()));
    return request;
  }

  return {
    get waitingBytes() {
      return waitingBytes;
    },
    open,
    drain() {
      isDraining = true;
      for (const request of arriving) request.refuse(stopping());
    },
  };
}
