/** Sends batches as OTLP export requests over HTTP. */
import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, type AgentOptions, request as httpsRequest, type RequestOptions } from 'node:https';
import type { Duplex } from 'node:stream';
import { errorMessage, LIMITS, VERSION } from '../../base/index.ts';
import { type CanonicalBatch, OTLP_CONTENT_TYPES } from '../../otap/index.ts';
import { boundedWait, decodeExportResponse, decodeRpcStatus, printable } from './answers.ts';
import { clientTls } from './client-tls.ts';
import { compressed, DEFAULT_COMPRESSION } from './compression.ts';
import { connectionError } from './grpc-client.ts';
import { encodedRequest } from './otlp-grpc-sender.ts';
import type { SendFacts, Sender, SendResult } from './sender.ts';
import type { ExporterCompression, ExporterConfig, ExporterTls } from './types.ts';
import { httpVerdict } from './verdicts.ts';

/** How long an unused connection is kept: servers close theirs after 5 s to minutes, and a new one costs little. */
const IDLE_MS = 4_000;
const STATUS_UNSUPPORTED_ENCODING = 415;

interface Answer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly contentType: string;
  readonly body: Buffer;
}

/** Reads certificates for every connection and not for every request. */
class TlsAgent extends HttpsAgent {
  readonly #tls: ExporterTls | undefined;

  constructor(tls: ExporterTls | undefined, options: AgentOptions) {
    super(options);
    this.#tls = tls;
  }

  override createConnection(
    options: RequestOptions,
    ready?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    return super.createConnection({ ...options, ...clientTls(this.#tls) }, ready);
  }
}

export function createOtlpHttpSender(config: ExporterConfig): Sender {
  const base = config.endpoint.replace(/\/+$/, '');
  const isTls = base.startsWith('https:');
  const agent = isTls
    ? new TlsAgent(config.tls, { keepAlive: true, timeout: IDLE_MS })
    : new HttpAgent({ keepAlive: true, timeout: IDLE_MS });
  let compression = config.compression ?? DEFAULT_COMPRESSION;

  async function send(batch: CanonicalBatch, { signal, items }: SendFacts): Promise<SendResult> {
    const request = encodedRequest(batch, items);
    if ('outcome' in request) return request;
    const content = compressed(request.bytes, compression);
    const used = compression;
    const progress = { wasConnected: false };
    let answer: Answer;
    try {
      answer = await post(`${base}/v1/${signal}`, content, used, progress);
    } catch (error) {
      return { outcome: 'retry', reason: connectionError(error), mayHaveArrived: progress.wasConnected };
    }
    if (answer.status === STATUS_UNSUPPORTED_ENCODING && used !== 'none') {
      compression = used === 'zstd' ? 'gzip' : 'none';
      return { outcome: 'retry', reason: `HTTP ${answer.status}`, afterMs: 0, mayHaveArrived: false };
    }
    const verdict = verdictOn(answer, content.length);
    return verdict.outcome === 'ok' ? { ...verdict, orphanRows: request.orphanRows } : verdict;
  }

  function post(
    url: string,
    content: Uint8Array,
    encoding: ExporterCompression,
    progress: { wasConnected: boolean },
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const sent = (isTls ? httpsRequest : httpRequest)(url, {
        method: 'POST',
        agent,
        headers: {
          'user-agent': `otelarrow-treasury/${VERSION}`,
          ...config.headers,
          'content-type': OTLP_CONTENT_TYPES.PROTOBUF,
          'content-length': content.length,
          ...(encoding === 'none' ? {} : { 'content-encoding': encoding }),
        },
      });
      const timer = setTimeout(
        () => sent.destroy(new Error(`no answer within ${LIMITS.pushAnswerMaxMs} ms`)),
        LIMITS.pushAnswerMaxMs,
      );
      sent.once('socket', (socket) => {
        if (!socket.connecting) progress.wasConnected = true;
        else socket.once(isTls ? 'secureConnect' : 'connect', () => (progress.wasConnected = true));
      });
      sent.once('close', () => clearTimeout(timer));
      sent.once('error', reject);
      sent.once('response', (response) => void readAnswer(response).then(resolve, reject));
      sent.end(content);
    });
  }

  return {
    send: (batch, facts) =>
      send(batch, facts).catch((error: unknown): SendResult => {
        return { outcome: 'refused', reason: `Cannot send: ${errorMessage(error)}`, fault: 'target' };
      }),
    close() {
      agent.destroy();
      return Promise.resolve();
    },
  };
}

async function readAnswer(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > LIMITS.pushAnswerBytesMax) {
      response.destroy();
      break;
    }
    chunks.push(chunk);
  }
  return {
    status: response.statusCode ?? 0,
    retryAfter: response.headers['retry-after'],
    contentType: response.headers['content-type'] ?? '',
    body: Buffer.concat(chunks),
  };
}

function verdictOn(answer: Answer, sentBytes: number): SendResult {
  const isProtobuf = answer.contentType.startsWith(OTLP_CONTENT_TYPES.PROTOBUF);
  if (answer.status >= 200 && answer.status < 300) {
    const { rejectedItems, message } = decodeExportResponse(isProtobuf ? answer.body : Buffer.alloc(0));
    return { outcome: 'ok', bytes: sentBytes, rejectedItems, rejection: message };
  }
  const status = isProtobuf ? decodeRpcStatus(answer.body) : null;
  const reason = status?.message ?? (isProtobuf ? '' : printable(answer.body.toString('utf8')));
  return httpVerdict(answer.status, reason, retryAfterMs(answer.retryAfter) ?? status?.retryAfterMs);
}

/** `Retry-After`: seconds, or a date. */
function retryAfterMs(header: string | undefined): number | undefined {
  if (header === undefined || header.trim() === '') return undefined;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - Date.now();
  if (Number.isNaN(ms)) return undefined;
  // A date that has passed already says no more than that it may come again.
  return ms <= 0 ? undefined : boundedWait(ms);
}
