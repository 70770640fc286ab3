/**
 * Reads capture files: what an OpenTelemetry Collector sent, with what had gone into it. Format: test/fixtures/otap/README.md.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import type { Signal } from '../../src/base/index.ts';
import { root } from './checkout.ts';

/** One record of a capture file: the header's fields (which of them depends on `t`) and the body. */
export interface CaptureRecord {
  readonly t: 'file' | 'conn' | 'open' | 'msg' | 'status' | 'halfclose' | 'end' | 'request' | 'otlp';
  readonly conn?: number;
  readonly stream?: number;
  readonly seq?: number;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly signal?: Signal;
  readonly compressed?: boolean;
  readonly wire_bytes?: number;
  readonly batch_id?: number;
  readonly code?: string | number;
  readonly info?: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
}

/** One gRPC stream of a capture, with its messages in order. */
export interface CapturedStream {
  readonly id: number;
  readonly path: string;
  /** Null for OTLP. */
  readonly arrowSignal: Signal | null;
  readonly messages: readonly Buffer[];
}

const OWN_DIRECTORY = fileURLToPath(new URL('../fixtures/otap/', import.meta.url));
const SHARED_DIRECTORY = join(process.env['TREASURY_SHARED'] ?? join(root, '../shared'), 'fixtures/otap');

/** The names of the captures in the repository (`shared` false) or in the shared collection; empty when that is absent. */
export function captureNames(options: { shared: boolean }): string[] {
  const directory = options.shared ? SHARED_DIRECTORY : OWN_DIRECTORY;
  if (!existsSync(directory)) return [];
  const suffix = '.capture.gz';
  return readdirSync(directory)
    .filter((file) => file.endsWith(suffix))
    .map((file) => file.slice(0, -suffix.length))
    .sort();
}

/** Why a test of the shared collection is skipped, or false when the collection is there. For node:test's `skip` option. */
export function sharedCapturesMissing(): string | false {
  return existsSync(SHARED_DIRECTORY) ? false : `no shared captures at ${SHARED_DIRECTORY}: set TREASURY_SHARED`;
}

/** The records of `name.capture.gz` (or `name.expect.gz`), from the repository or else from the shared collection. */
export function readCapture(name: string, kind: 'capture' | 'expect' = 'capture'): CaptureRecord[] {
  return [...parseCapture(gunzipSync(readFileSync(capturePath(`${name}.${kind}.gz`))))];
}

/** The JSON summary that stands in for a large capture's expectation. */
export function readSummary(name: string): Record<string, unknown> {
  return JSON.parse(readFileSync(capturePath(`${name}.summary.json`), 'utf8')) as Record<string, unknown>;
}

/** The gRPC streams of a capture in order of opening, OTLP calls included. */
export function readStreams(name: string): CapturedStream[] {
  const streams = new Map<number, CapturedStream & { messages: Buffer[] }>();
  for (const record of readCapture(name)) {
    if (record.t === 'open') {
      const { stream: id, path } = record as CaptureRecord & { stream: number; path: string };
      streams.set(id, { id, path, arrowSignal: arrowSignal(path), messages: [] });
    } else if (record.t === 'msg') {
      streams.get(record.stream!)!.messages.push(record.body);
    }
  }
  return [...streams.values()];
}

/** The streams of a capture that carry OTel-Arrow. */
export function readArrowStreams(name: string): (CapturedStream & { arrowSignal: Signal })[] {
  return readStreams(name).filter(
    (stream): stream is CapturedStream & { arrowSignal: Signal } => stream.arrowSignal !== null,
  );
}

function* parseCapture(file: Buffer): Generator<CaptureRecord> {
  for (let at = 0; at < file.length; ) {
    const headerEnd = at + 4 + file.readUInt32LE(at);
    const header = JSON.parse(file.toString('utf8', at + 4, headerEnd)) as Omit<CaptureRecord, 'body'>;
    const bodyEnd = headerEnd + 4 + file.readUInt32LE(headerEnd);
    yield { ...header, body: file.subarray(headerEnd + 4, bodyEnd) };
    at = bodyEnd;
  }
}

function capturePath(file: string): string {
  const own = join(OWN_DIRECTORY, file);
  return existsSync(own) ? own : join(SHARED_DIRECTORY, file);
}

function arrowSignal(path: string): Signal | null {
  const service = /\.Arrow(Logs|Traces|Metrics)Service\//.exec(path);
  return service === null ? null : (service[1]!.toLowerCase() as Signal);
}
