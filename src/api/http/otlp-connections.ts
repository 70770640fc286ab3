/** The connections of the OTLP/HTTP port: how many there are, and what becomes of one that breaks. */
import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { LIMITS } from '../../base/index.ts';
import { OTLP_CONTENT_TYPES } from '../../otap/index.ts';
import { encodeStatus } from '../otlp/otlp-answers.ts';
import type { BodyReading } from './otlp-body.ts';
import { OtlpHttpError } from './otlp-error.ts';

export interface OtlpConnection {
  /** There are too many. */
  readonly isExcess: boolean;
  /** Why what its peer sends can no longer be read; null while it can. */
  readonly breakage: OtlpHttpError | null;
  /** Whether no other request has come behind this one. */
  isLatest(request: IncomingMessage): boolean;
  /** The body being read on it. */
  reading: BodyReading | null;
}

export interface OtlpConnections {
  /** Watches the connections of `server`. */
  watch(server: Server): void;
  /** The connection of a request that begins. Null when the connection broke before: the request is not to be served. */
  begin(request: IncomingMessage, response: ServerResponse): OtlpConnection | null;
}

interface Connection extends OtlpConnection {
  breakage: OtlpHttpError | null;
  unanswered: number;
  latest: { readonly request: IncomingMessage; readonly response: ServerResponse } | null;
  /** Said behind the last answer, then the connection ends; null while it goes on. */
  lastWords: string | null;
}

/** Makes the book of connections. Those past `connectionsMax` are marked. */
export function createConnections(connectionsMax: number): OtlpConnections {
  const connections = new WeakMap<Duplex, Connection>();
  let open = 0;

  function opened(socket: Socket): void {
    open++;
    const isExcess = open > connectionsMax;
    const connection: Connection = {
      isExcess,
      breakage: null,
      isLatest: (request) => connection.latest?.request === request,
      reading: null,
      unanswered: 0,
      latest: null,
      lastWords: null,
    };
    connections.set(socket, connection);
    socket.once('close', () => {
      open--;
    });
  }

  function broke(error: ParserError, socket: Duplex): void {
    const connection = connections.get(socket);
    if (connection === undefined || error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    // What a broken connection sends on is as unreadable.
    if (connection.breakage !== null) return;
    const { latest } = connection;
    const isBetweenRequests = latest === null || latest.request.complete;
    const refusal = refusalOf(error, isBetweenRequests);
    connection.breakage = refusal;
    if (isBetweenRequests) {
      connection.lastWords = lastWords(refusal);
      if (connection.unanswered === 0) end(socket, connection.lastWords);
      return;
    }
    if (connection.reading?.fail(refusal) === true) return;
    // The rest of a request that has its answer, or is about to get it, is nothing to talk about.
    connection.lastWords = '';
    const othersUnanswered = latest.response.headersSent ? connection.unanswered - 1 : connection.unanswered;
    if (othersUnanswered <= 0) end(socket, connection.lastWords);
  }

  return {
    watch(server) {
      server.on('connection', opened);
      server.on('clientError', broke);
    },
    begin(request, response) {
      const { socket } = request;
      const connection = connections.get(socket);
      if (connection === undefined || connection.breakage !== null) return null;
      connection.unanswered++;
      connection.latest = { request, response };
      response.once('close', () => {
        connection.unanswered--;
        if (connection.unanswered === 0 && connection.lastWords !== null) end(socket, connection.lastWords);
      });
      return connection;
    },
  };
}

/** What node:http reports: `code` is its own, or one of the parser (`HPE_…`) with its `reason`. */
interface ParserError extends Error {
  readonly code?: string;
  readonly reason?: string;
}

function refusalOf({ code, reason, message }: ParserError, isBetweenRequests: boolean): OtlpHttpError {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      // Clients know 408 for the end of a connection without a request; a request that gets it is one that its exporter drops.
      return new OtlpHttpError(isBetweenRequests ? 408 : 503, 'Cannot wait for the request: it takes too long');
    case 'HPE_HEADER_OVERFLOW':
      return new OtlpHttpError(431, 'Cannot read the request: its head is too large');
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new OtlpHttpError(413, 'Cannot read the request: the extensions of its chunks are too large');
    case 'HPE_PAUSED_H2_UPGRADE':
      return new OtlpHttpError(400, 'Cannot read HTTP/2: this port takes OTLP over HTTP/1.1, gRPC has another port');
    default:
      return new OtlpHttpError(400, `Cannot read the request: ${reason ?? message}`);
  }
}

/** An answer to no request in particular. */
function lastWords({ code, message, status }: OtlpHttpError): string {
  const body = encodeStatus({ code, message }, OTLP_CONTENT_TYPES.JSON).toString();
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `Content-Type: ${OTLP_CONTENT_TYPES.JSON}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}

/** Closes our side and gives the peer a while to close its own: a reset could overtake the words. */
function end(socket: Duplex, words: string): void {
  socket.end(words);
  const timer = setTimeout(() => socket.destroy(), LIMITS.otlpHttpLingerMaxMs);
  socket.once('close', () => clearTimeout(timer));
}
