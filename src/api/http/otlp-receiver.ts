/** Serves requests for telemetry over HTTP: head, body, decompression, intake, answer. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { BatchMalformedError, BatchTooLargeError, errorMessage, type Logger, type Signal } from '../../base/index.ts';
import { OTLP_CONTENT_TYPES, type OtlpContentType } from '../../otap/index.ts';
import { decompress } from '../decompress.ts';
import { type HeldBytes, holdBytes } from '../held-bytes.ts';
import { encodeExportResponse } from '../otlp/otlp-answers.ts';
import type { OtlpIntake, OtlpRequest } from '../otlp/otlp-intake.ts';
import { roomUntil } from '../room.ts';
import { createTurns } from '../turns.ts';
import type { Cors } from './cors.ts';
import { type OtlpExchange, sendAnswer, sendError } from './otlp-answer.ts';
import { createArrivingBodies } from './otlp-arriving.ts';
import { type BodyReading, readBody } from './otlp-body.ts';
import type { OtlpConnection, OtlpConnections } from './otlp-connections.ts';
import { OtlpHttpError } from './otlp-error.ts';
import { type BodyBounds, otlpContentType, type OtlpHead, readOtlpHead, signalOfPath } from './otlp-head.ts';

export interface OtlpHttpLimits {
  readonly bodyBytesMax: number;
  readonly decompressedBytesMax: number;
  /** For JSON in place of the two, unless they are lower. */
  readonly jsonBytesMax: number;
  readonly requestsMax: number;
  readonly stallMaxMs: number;
  /** Over all bodies that arrive. */
  readonly arrivingBytesMax: number;
  /** How long a request waits for room in flight, before its body is read and behind it. */
  readonly holdMaxMs: number;
}

export interface OtlpReceiverOptions {
  readonly intake: OtlpIntake;
  readonly logger: Logger;
  /** Null: programs in browsers of other origins get no answer that they may read. */
  readonly cors: Cors | null;
  readonly connections: OtlpConnections;
  readonly limits: OtlpHttpLimits;
  readonly isStopping: () => boolean;
}

/** What a request's `Expect` header asks for. */
export type Expectation = 'nothing' | 'continue' | 'unknown';

/** What serves the requests of a port. */
export interface OtlpReceiver {
  /** What has come of bodies that are not taken yet. */
  readonly arrivingBytes: number;
  /** Serves one request. */
  receive(request: IncomingMessage, response: ServerResponse, expectation: Expectation): void;
}

/** Makes the receiver. What it does never throws. */
export function createOtlpReceiver(options: OtlpReceiverOptions): OtlpReceiver {
  const { intake, logger, cors, connections, limits, isStopping } = options;
  const allowed = cors === null ? 'POST' : 'POST, OPTIONS';
  const decompressions = createTurns();
  const arriving = createArrivingBodies(limits.arrivingBytesMax);
  /** Requests whose body is there. */
  let atWork = 0;

  async function receive(request: IncomingMessage, response: ServerResponse, expectation: Expectation): Promise<void> {
    // A connection that breaks in the middle of a body says so here, too; the reading of the body has its own ways to know.
    request.on('error', () => {});
    const connection = connections.begin(request, response);
    if (connection === null) {
      request.destroy();
      return;
    }
    const exchange: OtlpExchange = {
      request,
      response,
      contentType: otlpContentType(request.headers['content-type']) ?? OTLP_CONTENT_TYPES.JSON,
      headers: cors?.answerHeaders(request.headers) ?? {},
      isBodyHeldBack: expectation === 'continue',
      // Answers to pipelined requests come in their order: the connection must not end before the last of them.
      isLast: () => connection.isLatest(request) && (isStopping() || connection.isExcess),
      isBroken: () => connection.breakage !== null,
    };
    const signal = signalOfPath(request.url);
    const held = holdBytes(intake.admission);
    try {
      if (signal === null)
        throw new OtlpHttpError(404, 'No such path: telemetry goes to /v1/logs, /v1/traces, /v1/metrics');
      if (cors !== null && request.method === 'OPTIONS') sendPreflight(exchange, cors, allowed);
      else await take(exchange, { signal, connection, held, expectation });
    } catch (error) {
      const refusal = refusalOf(error);
      if (signal !== null && refusal.status !== 405) {
        intake.refuse('http', signal, refusal.isRetryable ? 'unavailable' : 'malformed', refusal.message);
      }
      sendError(exchange, refusal);
    } finally {
      held.giveAll();
    }
  }

  async function take(exchange: OtlpExchange, { signal, connection, held, expectation }: Taking): Promise<void> {
    const { request } = exchange;
    checkMethod(request.method, allowed);
    if (expectation === 'unknown')
      throw new OtlpHttpError(417, 'Cannot do what Expect asks for: known is 100-continue');
    const head = readOtlpHead(request, boundsOf);
    if (isStopping()) throw new OtlpHttpError(503, 'Cannot take the request now: the server stops');
    checkRoom(connection);
    // Unread until then: there is no use in keeping what would be refused.
    await roomInFlight(performance.now() + limits.holdMaxMs);
    if (connection.breakage !== null) throw connection.breakage;
    if (expectation === 'continue') {
      exchange.isBodyHeldBack = false;
      exchange.response.writeContinue();
    }
    const { announcedBytes, bytesMax } = head;
    const { stallMaxMs } = limits;
    const reading = readBody(exchange.request, { bytesMax: bytesMax.wire, announcedBytes, arriving, stallMaxMs });
    try {
      const received = await bodyOf(reading, connection);
      // The sender has left: whatever came of its request is worth nothing.
      if (received === null) return;
      checkRoom(connection);
      atWork++;
      try {
        const body = await decode(received, head, held);
        reading.release();
        await logAndAnswer(exchange, { signal, contentType: head.contentType, body, onSettled: held.pass() });
      } finally {
        atWork--;
      }
    } finally {
      reading.release();
    }
  }

  /** What is in flight is durable soon, and waiting costs the sender less than coming again. */
  async function roomInFlight(endMs: number): Promise<void> {
    await roomUntil(intake.admission, endMs);
    if (intake.admission.isFull) throw fullInFlight();
  }

  function boundsOf(contentType: OtlpContentType): BodyBounds {
    const { bodyBytesMax: wire, decompressedBytesMax: decompressed, jsonBytesMax } = limits;
    if (contentType !== OTLP_CONTENT_TYPES.JSON) return { wire, decompressed };
    return { wire: Math.min(wire, jsonBytesMax), decompressed: Math.min(decompressed, jsonBytesMax) };
  }

  function checkRoom(connection: OtlpConnection): void {
    if (connection.isExcess) throw new OtlpHttpError(503, 'Cannot take the request now: too many connections are open');
    if (atWork >= limits.requestsMax)
      throw new OtlpHttpError(503, 'Cannot take the request now: too many are under way');
  }

  /** The content, its bytes in flight. */
  async function decode(received: Buffer, { compression, bytesMax }: OtlpHead, held: HeldBytes): Promise<Buffer> {
    const endMs = performance.now() + limits.holdMaxMs;
    const onOutput = (bytes: number): void => {
      if (!held.take(bytes)) throw fullInFlight();
    };
    if (compression === 'none') {
      await roomInFlight(endMs);
      onOutput(received.length);
      return received;
    }
    return decompressions.run(async () => {
      await roomInFlight(endMs);
      return decompress(received, compression, { bytesMax: bytesMax.decompressed, onOutput });
    });
  }

  async function logAndAnswer(
    exchange: OtlpExchange,
    request: Pick<OtlpRequest, 'signal' | 'contentType' | 'body' | 'onSettled'>,
  ): Promise<void> {
    const { signal, contentType } = request;
    const headers = storableHeaders(exchange.request);
    const answer = await intake.take({ ...request, transport: 'http', headers });
    if (answer.kind === 'accepted') sendAnswer(exchange, 200, encodeExportResponse(signal, answer, contentType));
    else sendError(exchange, new OtlpHttpError(answer.kind === 'malformed' ? 400 : 503, answer.message));
  }

  function refusalOf(error: unknown): OtlpHttpError {
    if (error instanceof OtlpHttpError) return error;
    if (error instanceof BatchTooLargeError) return new OtlpHttpError(413, error.message);
    if (error instanceof BatchMalformedError) return new OtlpHttpError(400, error.message);
    logger.error('OTLP request failed', {
      error: errorMessage(error),
      stack: error instanceof Error ? error.stack : undefined,
    });
    // Not the sender's doing (memory, or a bug): it still has the data.
    return new OtlpHttpError(503, 'Cannot take the request now: the server failed, its log says why');
  }

  return {
    get arrivingBytes() {
      return arriving.bytes;
    },
    receive: (request, response, expectation) => void receive(request, response, expectation),
  };
}

/** The body; what breaks the connection until then is its failure. */
async function bodyOf(reading: BodyReading, connection: OtlpConnection): Promise<Buffer | null> {
  connection.reading = reading;
  try {
    return await reading.body;
  } finally {
    // The next request may have come with the same packet.
    if (connection.reading === reading) connection.reading = null;
  }
}

function fullInFlight(): OtlpHttpError {
  return new OtlpHttpError(503, 'Cannot take the request now: too many bytes are in flight');
}

interface Taking {
  readonly signal: Signal;
  readonly connection: OtlpConnection;
  readonly held: HeldBytes;
  readonly expectation: Expectation;
}

function checkMethod(method: string | undefined, allowed: string): void {
  if (method === 'POST') return;
  throw new OtlpHttpError(405, `Cannot ${method} here: allowed is ${allowed}`, { Allow: allowed });
}

function sendPreflight(exchange: OtlpExchange, cors: Cors, allowed: string): void {
  sendAnswer(exchange, 204, null, { Allow: allowed, ...cors.preflightHeaders(exchange.request.headers) });
}

function* storableHeaders({ headers }: IncomingMessage): Generator<readonly [string, string]> {
  for (const [name, value] of Object.entries(headers)) if (typeof value === 'string') yield [name, value];
}
