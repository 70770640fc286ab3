/** OTLP requests in a file, so that they are made once for many rounds. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Signal } from '../src/base/index.ts';

export interface OtlpLoad {
  readonly signal: Signal;
  readonly bodies: readonly Uint8Array[];
  /** Log records, spans or data points in all of them. */
  readonly rows: number;
}

/** Writes a line of JSON and the bodies behind it. */
export function writeRequests(path: string, { signal, bodies, rows }: OtlpLoad): void {
  const head = { signal, rows, lengths: bodies.map(({ length }) => length) };
  writeFileSync(path, Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), ...bodies]));
}

export function readRequests(path: string): OtlpLoad {
  const file = readFileSync(path);
  let at = file.indexOf('\n') + 1;
  const head = JSON.parse(file.toString('utf8', 0, at)) as { signal: Signal; rows: number; lengths: number[] };
  const bodies = head.lengths.map((length) => file.subarray(at, (at += length)));
  return { signal: head.signal, rows: head.rows, bodies };
}
