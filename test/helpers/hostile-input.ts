/** Damaged telemetry: messages and requests of real exporters, damaged at every layer that a decoder has. */
import { type Signal, SIGNALS } from '../../src/base/index.ts';
import { scanBatchEnvelope } from '../../src/otap/batch-envelope.ts';
import { type OtlpContentType, type PayloadName, payloadName } from '../../src/otap/index.ts';
import { walkIpcMessages } from '../../src/otap/ipc-messages.ts';
import { captureNames, readArrowStreams, readCapture } from './captures.ts';
import { compressMessage, type ReplayedStream } from './otap-client.ts';
import { encodeBatch } from './otap-messages.ts';
import { OTLP_GRPC_PATHS, OTLP_HTTP_PATHS } from './otlp-client.ts';
import { otlpExports } from './otlp-replay.ts';
import { mutate, type Random } from './random.ts';

/** Encodings of the wire. */
export const ENCODINGS = ['gzip', 'deflate', 'zstd'] as const;

/** A message as it goes out: content, and whether the content is already in `encoding`. */
export interface DamagedMessage {
  readonly content: Uint8Array;
  readonly encoding: string;
  readonly isEncoded: boolean;
}

/** An OTLP request of a capture. */
export interface CapturedRequest {
  readonly signal: Signal;
  readonly transport: 'grpc' | 'http';
  readonly contentType: OtlpContentType;
  readonly body: Buffer;
}

/** Every OTAP stream of all captures but the large ones of the benches. */
export function hostileStreams(): ReplayedStream[] {
  return smallCaptures().flatMap((name) => readArrowStreams(name).filter(({ messages }) => messages.length > 0));
}

/** Every OTLP request of all captures, over gRPC and HTTP, in protobuf and JSON. */
export function hostileRequests(): CapturedRequest[] {
  return smallCaptures().flatMap((name) =>
    otlpExports(readCapture(name)).map(({ transport, path, headers, body }) => ({
      signal: signalOf(transport === 'grpc' ? OTLP_GRPC_PATHS : OTLP_HTTP_PATHS, path),
      transport,
      contentType: headers['content-type'] === 'application/json' ? 'application/json' : 'application/x-protobuf',
      body,
    })),
  );
}

/**
 * Damages a batch: what is in the compressed frame, the envelope, the messages of one payload in a sound envelope, or values and
 * dictionaries in place, so that everything around them is sound.
 */
export function damageBatch(
  message: Uint8Array,
  random: Random,
  { compressed = true }: { readonly compressed?: boolean } = {},
): DamagedMessage {
  const encoding = random.pick(ENCODINGS);
  const plain = (content: Uint8Array): DamagedMessage => ({ content, encoding, isEncoded: false });
  switch (compressed ? random.below(8) : 1 + random.below(7)) {
    case 0:
      return { content: mutate(compressMessage(message, encoding), random), encoding, isEncoded: true };
    case 1:
    case 2:
      return plain(mutate(message, random));
    case 3:
    case 4:
      return plain(damagePayload(message, random));
    default:
      return plain(damageInPlace(message, random));
  }
}

/** Damages a request, or its compressed form. */
export function damageRequest(
  body: Uint8Array,
  random: Random,
  { compressed = true }: { readonly compressed?: boolean } = {},
): DamagedMessage {
  const encoding = random.pick(ENCODINGS);
  if (compressed && random.below(6) === 0) {
    return { content: mutate(compressMessage(body, encoding), random), encoding, isEncoded: true };
  }
  return { content: mutate(body, random), encoding, isEncoded: false };
}

function damagePayload(message: Uint8Array, random: Random): Uint8Array {
  const { batchId, payloads } = scanBatchEnvelope(message);
  const target = random.below(payloads.length);
  const parts = payloads.map(({ schemaId, type, start, end }, index) => {
    const record = message.subarray(start, end);
    const isDamaged = index === target && record.length > 0;
    return { name: payloadName(type) as PayloadName, schemaId, record: isDamaged ? mutate(record, random) : record };
  });
  return encodeBatch(parts, Number(batchId));
}

/** A few bytes of one IPC message of one payload; dictionaries twice as often as others. */
function damageInPlace(message: Uint8Array, random: Random): Uint8Array {
  const messages = scanBatchEnvelope(message).payloads.flatMap(({ start, end }) =>
    walkIpcMessages(message, start, end),
  );
  const dictionaries = messages.filter(({ kind }) => kind === 'dictionary');
  const { start, bodyStart, end } = random.pick([...messages, ...dictionaries]);
  // The metadata is a small part of a message, and has most of what can go wrong.
  const [from, to] = random.below(2) === 0 || bodyStart === end ? [start, bodyStart] : [bodyStart, end];
  const copy = Uint8Array.from(message);
  for (let left = 1 + random.below(4); left > 0; left--) {
    copy[from + random.below(to - from)] = random.pick([0, 1, 0x7f, 0x80, 0xff, random.below(256)]);
  }
  return copy;
}

function smallCaptures(): string[] {
  const names = new Set([...captureNames({ shared: false }), ...captureNames({ shared: true })]);
  // wire-1 holds what was on the wire: compressed, and not what a handler gets.
  return [...names].filter((name) => !name.startsWith('bench-') && name !== 'wire-1').toSorted();
}

function signalOf(paths: Readonly<Record<Signal, string>>, path: string): Signal {
  const found = SIGNALS.find((signal) => paths[signal] === path);
  if (found === undefined) throw new Error(`Cannot find the signal of ${path}`);
  return found;
}
