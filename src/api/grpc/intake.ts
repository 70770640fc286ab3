/**
 * The entrance of every call: the one interceptor of the server. It adds encodings, and it takes messages one at a time: the next
 * one is decompressed when the one before was taken. So what waits behind a slow or held call is compressed bytes in HTTP/2's
 * window, never decompressed messages (a hundred bombs in one window would be gigabytes).
 */
import { constants as http2Constants, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { Metadata, ServerInterceptor } from '@grpc/grpc-js';
import { assert } from '../../base/index.ts';
import { ACCEPT_ENCODING, decodeFrame, type UnreadableMessage, unreadable } from './encodings.ts';
import { ServerInterceptingCall, status as grpcStatus } from './grpc-js.ts';
import { asBaseCall, raiseSessionWindow } from './hooks.ts';
import type { UnaryRequests } from './unary-requests.ts';

export interface InterceptorOptions {
  /** Bound of one message after decompression. */
  readonly decompressedBytesMax: number;
  /** Flow control window of a connection. */
  readonly sessionWindowBytes: number;
  /** Calls to `paths` are counted by `requests` from their first byte; their handlers get a `UnaryRequest` as message. */
  readonly unary: { readonly paths: ReadonlySet<string>; readonly requests: UnaryRequests };
}

/** The interceptor, and the connections it has seen. */
export interface Entrance {
  /** Has to be the server's first: only that one gets the base call. Nothing in it may throw: that ends the process. */
  readonly interceptor: ServerInterceptor;
  /** Cuts all connections that have had a call. grpc-js's own ways miss those that are closing, and all without channelz. */
  cutConnections(): void;
}

/** Makes the entrance of one server. */
export function createEntrance(options: InterceptorOptions): Entrance {
  const sessions = new Set<ServerHttp2Session>();
  const interceptor: ServerInterceptor = (method, call) => {
    const base = asBaseCall(call);
    // Of a server's stream it always is one; the types do not say so.
    const session = base.stream.session as ServerHttp2Session | undefined;
    if (session !== undefined && !sessions.has(session)) {
      sessions.add(session);
      session.once('close', () => sessions.delete(session));
      raiseSessionWindow(session, options.sessionWindowBytes);
    }
    const intake = new CallIntake(base.stream);
    base.decompressMessage = async (frame, encoding) => {
      const arrivedMs = performance.now();
      await intake.turn();
      intake.waitedMs = performance.now() - arrivedMs;
      // A message that cannot be read goes the same way as one that can: the handler answers what came before it first.
      return (await decodeFrame(frame, encoding, options.decompressedBytesMax)) as Buffer;
    };
    const sendStatus = base.sendStatus.bind(base);
    base.sendStatus = (status) => {
      // grpc-js itself is the only one to say this: a message longer than the limit, refused before its bytes are read.
      if (status.code !== grpcStatus.RESOURCE_EXHAUSTED) return sendStatus(status);
      const refusal = unreadable(`Cannot read a message: ${status.details ?? 'too large'}`);
      return intake.refuse(refusal) ? undefined : sendStatus(refusal);
    };
    if (options.unary.paths.has(method.path)) {
      const request = options.unary.requests.open(method.path, base.stream, sendStatus);
      intake.steer((refusal) => request.refuse(refusal));
      base.decompressMessage = (frame, encoding) => {
        request.arrived(frame, encoding);
        return request as unknown as Buffer;
      };
    }
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata(metadata, nextMetadata) {
            intakes.set(metadata, intake);
            nextMetadata(metadata);
          },
          onReceiveMessage(message, nextMessage) {
            nextMessage(message);
            intake.delivered();
          },
        }),
      sendMetadata(metadata, next) {
        metadata.set('grpc-accept-encoding', ACCEPT_ENCODING);
        next(metadata);
      },
    });
  };
  return {
    interceptor,
    cutConnections() {
      for (const session of sessions) session.destroy(undefined, http2Constants.NGHTTP2_CANCEL);
    },
  };
}

/** How a handler steers what it receives. */
export interface Intake {
  /**
   * From now on the next message is read only after `next()`, once for each message taken. `onUnreadable` gets a refusal that has no
   * place among the messages: one too large to be read. It comes at most once.
   */
  steer(onUnreadable: (refusal: UnreadableMessage) => void): void;
  /** Lets the next message be read. */
  next(): void;
  /** How long the message that was taken last had waited for its turn, since its last byte came. */
  readonly waitedMs: number;
  /** Whether the call was cut, by either side or with its connection. */
  readonly isCut: boolean;
  /** Cuts the call (RST_STREAM), for a peer that does not let it end. */
  cut(): void;
}

const intakes = new WeakMap<Metadata, Intake>();

/** The intake of a call, found by its metadata object. */
export function intakeOf(metadata: Metadata): Intake {
  const intake = intakes.get(metadata);
  assert(intake !== undefined, 'every call passes the receive interceptor');
  return intake;
}

class CallIntake implements Intake {
  /** Whether a message that arrives may be decompressed at once. */
  #isOpen = true;
  #waiting: (() => void)[] = [];
  #onUnreadable: ((refusal: UnreadableMessage) => void) | null = null;
  #isSteered = false;
  waitedMs = 0;
  readonly #stream: ServerHttp2Stream;

  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream;
  }

  get isCut(): boolean {
    return this.#stream.aborted || (this.#stream.rstCode ?? 0) !== http2Constants.NGHTTP2_NO_ERROR;
  }

  cut(): void {
    this.#stream.close(http2Constants.NGHTTP2_CANCEL);
  }

  /** Settles when the message that asks is the next one; in the order of asking. */
  turn(): Promise<void> {
    if (this.#isOpen) {
      this.#isOpen = false;
      return Promise.resolve();
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  next(): void {
    const resolve = this.#waiting.shift();
    if (resolve === undefined) this.#isOpen = true;
    else resolve();
  }

  /** A message has gone to its handler. */
  delivered(): void {
    if (!this.#isSteered) this.next();
  }

  steer(onUnreadable: (refusal: UnreadableMessage) => void): void {
    this.#isSteered = true;
    this.#onUnreadable = onUnreadable;
  }

  /** Hands a refusal to the handler; false when there is none that takes it. */
  refuse(refusal: UnreadableMessage): boolean {
    if (!this.#isSteered) return false;
    this.#onUnreadable?.(refusal);
    this.#onUnreadable = null;
    return true;
  }
}
