/** OTLP calls of a capture, sent again as their sender made them: path, headers, encoding. */
import { Agent, request } from 'node:http';
import type { CaptureRecord } from './captures.ts';
import { compressMessage, type OtapClient } from './otap-client.ts';

/** One unary call or HTTP request of a capture. */
export interface CapturedExport {
  readonly transport: 'grpc' | 'http';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** As the sender named it, or undefined. */
  readonly encoding: string | undefined;
  /** Before compression. */
  readonly body: Buffer;
}

const OTLP_GRPC = /^\/opentelemetry\.proto\.collector\.(?:logs|trace|metrics)\.v1\./;
/** Made anew by the client that sends. */
const OWN_TO_TRANSPORT = new Set([':authority', 'content-length', 'content-type', 'te', 'grpc-encoding', 'host']);

/** The OTLP exports among the records of a capture, in order of their bodies. */
export function otlpExports(records: readonly CaptureRecord[]): CapturedExport[] {
  const opened = new Map(records.filter(({ t }) => t === 'open').map((record) => [record.stream, record]));
  return records.flatMap((record): CapturedExport[] => {
    if (record.t === 'request') return [exportOf('http', record, record, 'content-encoding')];
    const open = record.t === 'msg' ? opened.get(record.stream) : undefined;
    if (open === undefined || !OTLP_GRPC.test(open.path ?? '')) return [];
    return [exportOf('grpc', open, record, 'grpc-encoding')];
  });
}

/** Sends an export over gRPC. Returns what is wrong with the answer, or null. */
export async function replayGrpc(client: OtapClient, sent: CapturedExport): Promise<string | null> {
  const { path, body, encoding } = sent;
  const end = await client.unary(path, body, {
    headers: withoutOwn(sent.headers),
    ...(encoding === undefined ? {} : { encoding }),
  });
  return end.code === 0 && end.messages[0]?.length === 0 ? null : `code ${end.code}: ${end.message}`;
}

/** Sends an export over HTTP to `address`. Returns what is wrong with the answer, or null. */
export function replayHttp(address: string, agent: Agent, sent: CapturedExport): Promise<string | null> {
  const { path, body, encoding, headers } = sent;
  const content = encoding === undefined ? body : compressMessage(body, encoding);
  const contentType = headers['content-type'] ?? '';
  return new Promise((resolve, reject) => {
    const call = request(`http://${address}${path}`, {
      method: 'POST',
      agent,
      headers: { ...withoutOwn(headers), 'content-type': contentType, 'content-length': content.length },
    });
    call.once('error', reject);
    call.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => {
        const answer = Buffer.concat(chunks).toString();
        const isWhole = response.statusCode === 200 && (answer === '' || answer === '{}');
        resolve(isWhole ? null : `status ${response.statusCode}: ${answer}`);
      });
    });
    call.end(content);
  });
}

function exportOf(
  transport: CapturedExport['transport'],
  head: CaptureRecord,
  { body }: CaptureRecord,
  encodingHeader: string,
): CapturedExport {
  const headers = Object.fromEntries(head.headers as unknown as [string, string][]);
  const encoding = headers[encodingHeader] === 'identity' ? undefined : headers[encodingHeader];
  return { transport, path: head.path!, headers, encoding, body };
}

function withoutOwn(headers: CapturedExport['headers']): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !OWN_TO_TRANSPORT.has(name)));
}
