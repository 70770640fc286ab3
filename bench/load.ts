/**
 * A load generator in a process of its own: replays a capture of an OTAP exporter over raw HTTP/2, as cheaply as Node can, so that
 * the machine's cores are left to the server. Messages are compressed once, before the clock starts.
 *
 *   load.ts '{"endpoint":"127.0.0.1:4317","capture":"bench-logs-1","streams":2,"repeats":4,"inFlight":20,"rowsPerSecond":0}'
 *
 * Every repeat of a stream is a new RPC, as after an exporter's stream lifetime. Prints one JSON line: LoadResult.
 */
import { connect, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { compressZstd, decompressZstd, initZstd } from '../src/otap/index.ts';
import { readArrowStreams } from '../test/helpers/captures.ts';
import { decodeBatchStatus } from '../test/helpers/otap-client.ts';

export interface LoadOptions {
  endpoint: string;
  /** Name of a capture, as in test/helpers/captures.ts. */
  capture: string;
  streams: number;
  repeats: number;
  /** Messages of a stream that wait for their status at a time. */
  inFlight: number;
  /** Rows a message; only for pacing. */
  rowsPerMessage: number;
  /** Rows a second over all streams; 0 = as fast as answers come. */
  rowsPerSecond: number;
}

export interface LoadResult {
  messages: number;
  wireBytes: number;
  messageBytes: number;
  seconds: number;
  /** Unix milliseconds of the first message sent and of the last status received. */
  startedAtMs: number;
  endedAtMs: number;
  ackMsP50: number;
  ackMsP99: number;
  /** Unix milliseconds of every OK, in order of arrival. */
  ackedAtMs: number[];
  refused: number;
}

const FRAME_HEADER_BYTES = 5;
const COMPRESSION_LEVEL = 5;
const WINDOW_BYTES = 4 * 1024 * 1024;
const STATUS_BYTES_MAX = 64 * 1024;

async function main(options: LoadOptions): Promise<LoadResult> {
  await initZstd();
  const { path, bodies } = streamOf(options.capture);
  const frames = bodies.map(frameOf);
  const session = connect(`http://${options.endpoint}`, { settings: { initialWindowSize: WINDOW_BYTES } });
  const latencies: number[] = [];
  const ackedAtMs: number[] = [];
  let refused = 0;
  const startedAtMs = Date.now();
  await Promise.all(
    Array.from({ length: options.streams }, async () => {
      for (let repeat = 0; repeat < options.repeats; repeat++) {
        refused += await replay(session, path, frames, options, (ms) => {
          latencies.push(ms);
          ackedAtMs.push(Date.now());
        });
      }
    }),
  );
  const endedAtMs = Date.now();
  session.close();
  const sorted = Float64Array.from(latencies).sort();
  const messages = frames.length * options.streams * options.repeats;
  return {
    messages,
    wireBytes: sum(frames) * options.streams * options.repeats,
    messageBytes: sum(bodies) * options.streams * options.repeats,
    seconds: (endedAtMs - startedAtMs) / 1000,
    startedAtMs,
    endedAtMs,
    ackMsP50: sorted[Math.floor(sorted.length * 0.5)] ?? 0,
    ackMsP99: sorted[Math.floor(sorted.length * 0.99)] ?? 0,
    ackedAtMs,
    refused,
  };
}

/** Sends all frames as one RPC; resolves with the number of statuses that were not OK. */
async function replay(
  session: ClientHttp2Session,
  path: string,
  frames: readonly Buffer[],
  options: LoadOptions,
  onAck: (ms: number) => void,
): Promise<number> {
  const rpc = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    'grpc-encoding': `zstdarrow${COMPRESSION_LEVEL}`,
    'grpc-accept-encoding': 'identity',
  });
  const sentAt: number[] = [];
  let answered = 0;
  let refused = 0;
  let wake = () => {};
  onStatuses(rpc, (batchId, ok) => {
    answered += 1;
    if (ok) onAck(performance.now() - sentAt[batchId]!);
    else refused += 1;
    wake();
  });
  const ended = new Promise<void>((resolve, reject) => {
    rpc.on('error', reject);
    rpc.on('close', resolve);
  });
  const intervalMs =
    options.rowsPerSecond === 0 ? 0 : (options.rowsPerMessage * options.streams * 1000) / options.rowsPerSecond;
  const begun = performance.now();
  for (const [index, frame] of frames.entries()) {
    const dueInMs = begun + index * intervalMs - performance.now();
    if (dueInMs > 1) await new Promise((resolve) => setTimeout(resolve, dueInMs));
    while (sentAt.length - answered >= options.inFlight) await new Promise<void>((resolve) => (wake = resolve));
    sentAt.push(performance.now());
    rpc.write(frame);
  }
  rpc.end();
  await ended;
  if (answered !== frames.length)
    throw new Error(`Cannot finish: ${answered} of ${frames.length} batches were answered`);
  return refused;
}

/** Calls back once per BatchStatus. The captures number their batches from 0, so a batch id is an index. */
function onStatuses(rpc: ClientHttp2Stream, onStatus: (batchId: number, ok: boolean) => void): void {
  let rest: Buffer = Buffer.alloc(0);
  rpc.on('data', (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= FRAME_HEADER_BYTES) {
      const end = FRAME_HEADER_BYTES + rest.readUInt32BE(1);
      if (rest.length < end) return;
      const content = rest.subarray(FRAME_HEADER_BYTES, end);
      // grpc-go answers in the encoding of the request, whatever the client says it accepts.
      const status = decodeBatchStatus(rest[0] === 1 ? decompressZstd(content, STATUS_BYTES_MAX) : content);
      onStatus(Number(status.batchId), status.code === 0);
      rest = rest.subarray(end);
    }
  });
}

function frameOf(body: Uint8Array): Buffer {
  const compressed = compressZstd(body, COMPRESSION_LEVEL);
  const frame = Buffer.alloc(FRAME_HEADER_BYTES + compressed.length);
  frame[0] = 1;
  frame.writeUInt32BE(compressed.length, 1);
  frame.set(compressed, FRAME_HEADER_BYTES);
  return frame;
}

/** The one stream of the capture that has messages. */
function streamOf(capture: string): { path: string; bodies: readonly Uint8Array[] } {
  const stream = readArrowStreams(capture).find((candidate) => candidate.messages.length > 0)!;
  return { path: stream.path, bodies: stream.messages };
}

function sum(parts: readonly Uint8Array[]): number {
  return parts.reduce((total, part) => total + part.length, 0);
}

console.log(JSON.stringify(await main(JSON.parse(process.argv[2]!) as LoadOptions)));
