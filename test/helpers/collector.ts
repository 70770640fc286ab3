/** A real Collector and its data generator, built from test/interop with the machine's Go (once; COLLECTOR and INTEROP name ready binaries). */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Signal } from '../../src/base/index.ts';
import { SIGNALS } from '../../src/base/index.ts';
import { root } from './checkout.ts';
import { expectedRows, type ExpectedRowsOptions } from './expected-rows.ts';
import type { TelemetryRow } from './telemetry-rows.ts';

const BIN = join(root, '.interop');
/** A cold build takes six minutes on two cores. */
const BUILD_MAX_MS = 25 * 60_000;
const READY_MAX_MS = 60_000;

export interface Tools {
  readonly collector: string;
  readonly interop: string;
}

/** The binaries, built if need be; or why there are none. */
export function collectorTools(): Tools | string {
  const { COLLECTOR: collector, INTEROP: interop } = process.env;
  if (collector !== undefined && interop !== undefined) return { collector, interop };
  const built = { collector: join(BIN, 'collector'), interop: join(BIN, 'interop') };
  if (existsSync(built.collector) && existsSync(built.interop)) return built;
  if (spawnSync('go', ['version']).status !== 0) return 'there is no Go on this machine to build a Collector with';
  mkdirSync(BIN, { recursive: true });
  const build = spawnSync('bash', [join(root, 'test/interop/build.sh'), BIN], {
    stdio: 'inherit',
    timeout: BUILD_MAX_MS,
  });
  if (build.status !== 0) throw new Error(`Cannot build a Collector: build.sh exited with ${build.status}`);
  return built;
}

export interface Collector {
  readonly child: ChildProcess;
  /** Where it takes OTLP/gRPC. */
  readonly otlp: string;
  /** Where it takes OTel-Arrow, in the configurations that do. */
  readonly arrow: string;
  log(): string;
  end(signal: NodeJS.Signals): Promise<void>;
  /** Rows that came in, as its file exporter kept them; whole after a SIGTERM. `exact`: what the Arrow exporter does not carry too. */
  received(signal: Signal, options?: ExpectedRowsOptions): TelemetryRow[];
  /** The same as OTLP requests, in the order in which they came. */
  kept(signal: Signal): Uint8Array[];
}

/** Pipelines of test/interop/config: those that send to a server, and one that only keeps what it receives. */
export type CollectorConfig = 'arrow-default' | 'otlp-grpc' | 'otlp-http' | 'receive-file';

/** Starts a stock pipeline towards `target`, by default with the Arrow exporter; `settings` are `--set` arguments. */
export async function startCollector(
  tools: Tools,
  target: string,
  directory: string,
  settings: readonly string[] = [],
  config: CollectorConfig = 'arrow-default',
): Promise<Collector> {
  const otlp = `127.0.0.1:${await freePort()}`;
  const arrow = `127.0.0.1:${await freePort()}`;
  mkdirSync(directory, { recursive: true });
  const child = spawn(
    tools.collector,
    ['--config', join(root, `test/interop/config/${config}.yaml`), ...settings.map((setting) => `--set=${setting}`)],
    {
      env: { ...process.env, TARGET: target, OTLP_IN: otlp, ARROW_IN: arrow, EXPECT_DIR: directory },
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  const kept = (signal: Signal): Uint8Array[] => readKept(join(directory, `${signal}.pb`));
  let log = '';
  const exited = once(child, 'exit');
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`The Collector did not get ready: ${log}`)), READY_MAX_MS);
    child.once('exit', () => reject(new Error(`The Collector ended: ${log}`)));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text;
      if (!log.includes('Everything is ready')) return;
      clearTimeout(timer);
      resolve();
    });
  });
  return {
    child,
    otlp,
    arrow,
    log: () => log,
    async end(signal) {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      await exited;
    },
    received: (signal, options) => kept(signal).flatMap((request) => expectedRows(signal, request, options)),
    kept,
  };
}

/** Sends generated OTLP; resolves with the items sent (log records, spans, data points) a signal. */
export async function generate(
  tools: Tools,
  endpoint: string,
  flags: readonly string[],
): Promise<Record<Signal, number>> {
  const child = spawn(tools.interop, ['gen', '-endpoint', endpoint, ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0 && !flags.includes('-keep-going')) throw new Error(`The generator exited with ${code}: ${output}`);
  const items = (signal: Signal) =>
    Number(new RegExp(`^${signal}: \\d+ requests, (\\d+) items`, 'm').exec(output)?.[1] ?? 0);
  return Object.fromEntries(SIGNALS.map((signal) => [signal, items(signal)])) as Record<Signal, number>;
}

/** A port that nothing listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** Messages of a file exporter: `u32 BE length, message`, again and again; a cut tail (killed Collector) is left out. */
function readKept(path: string): Uint8Array[] {
  if (!existsSync(path)) return [];
  const file = readFileSync(path);
  const messages: Uint8Array[] = [];
  for (let at = 0; at + 4 <= file.length; ) {
    const end = at + 4 + file.readUInt32BE(at);
    if (end > file.length) break;
    messages.push(file.subarray(at + 4, end));
    at = end;
  }
  return messages;
}
