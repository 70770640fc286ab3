/** The Go Collector as a reference: it receives and throws everything away. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { cpuSecondsOf, root } from './process.ts';

const ARROW_PORT = 21_717;
const OTLP_PORT = 21_718;
const OTLP_HTTP_PORT = 21_719;

/** A running Collector: HOST:PORT of its receivers. */
export interface Collector {
  readonly arrow: string;
  readonly otlp: string;
  readonly otlpHttp: string;
  /** User and system seconds since start. */
  cpuSeconds(): number;
}

/** Runs `work` against a Collector (COLLECTOR = path of a binary built by test/interop/build.sh); undefined when there is none. */
export async function withCollector<Result>(
  work: (collector: Collector) => Promise<Result>,
): Promise<Result | undefined> {
  const binary = process.env['COLLECTOR'];
  if (binary === undefined || !existsSync(binary)) return undefined;
  const [arrow, otlp, otlpHttp] = [ARROW_PORT, OTLP_PORT, OTLP_HTTP_PORT].map((port) => `127.0.0.1:${port}`) as [
    string,
    string,
    string,
  ];
  const child = spawn(binary, ['--config', join(root, 'test/interop/config/receive-nop.yaml')], {
    env: { ...process.env, ARROW_IN: arrow, OTLP_IN: otlp, OTLP_HTTP_IN: otlpHttp },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  try {
    await ready(child);
    return await work({ arrow, otlp, otlpHttp, cpuSeconds: () => cpuSecondsOf(child.pid!) });
  } finally {
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
}

async function ready(child: ChildProcess): Promise<void> {
  for await (const chunk of child.stderr!) {
    if (String(chunk).includes('Everything is ready')) {
      child.stderr!.resume();
      return;
    }
  }
  throw new Error('The Collector ended before it was ready');
}
