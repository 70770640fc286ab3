/** A real server as a child process on a scratch directory, from the sources, with free ports. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { loaderFlags } from './checkout.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
/** A start takes a second; on a machine busy with other tests much longer. */
const START_MAX_MS = 60_000;
const SETTLE_MAX_MS = 120_000;

export interface ServerProcess {
  readonly child: ChildProcess;
  readonly data: string;
  readonly grpc: string;
  readonly otlpHttp: string;
  readonly http: string;
  /** What it wrote to standard error so far. */
  stderr(): string;
  /** Sends a signal and resolves with the exit code (null when the signal ended it). */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

/**
 * Starts `serve`; resolves after its ready line. `grpc` may name a fixed address, for a server that comes back. `env` is added to the
 * environment of this process. `user` may name another user than that of this process.
 */
export async function startServerProcess(
  data: string,
  grpc = '127.0.0.1:0',
  flags: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
  user: { readonly uid?: number; readonly gid?: number } = {},
): Promise<ServerProcess> {
  const child = spawn(
    process.execPath,
    [
      ...loaderFlags,
      MAIN,
      'serve',
      '--data',
      data,
      '--grpc',
      grpc,
      '--otlp-http',
      '127.0.0.1:0',
      '--http',
      '127.0.0.1:0',
      ...flags,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...serverEnvironment(), ...env }, ...user },
  );
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const exited = once(child, 'exit');
  const timer = setTimeout(() => child.kill('SIGKILL'), START_MAX_MS);
  let ready = '';
  for await (const line of createInterface({ input: child.stdout })) {
    ready = line;
    break;
  }
  child.stdout.resume();
  const match = /^ready grpc=(\S+) otlp_http=(\S+) http=(\S+) data=(.*)$/.exec(ready);
  if (match === null) {
    if (ready !== '') child.kill('SIGKILL');
    const [code] = (await exited) as [number | null];
    clearTimeout(timer);
    throw new ServerStartError(code, ready || errors);
  }
  clearTimeout(timer);
  return {
    child,
    data,
    grpc: match[1]!,
    otlpHttp: match[2]!,
    http: match[3]!,
    stderr: () => errors,
    async end(signal) {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      const [code] = (await exited) as [number | null];
      return code;
    },
  };
}

/** A server that ended, or had to be ended, before it was ready. */
export class ServerStartError extends Error {
  /** Its exit code; null when it was killed. */
  readonly code: number | null;
  /** What it wrote to standard error. */
  readonly stderr: string;

  constructor(code: number | null, stderr: string) {
    super(`The server did not get ready: ${stderr}`);
    this.code = code;
    this.stderr = stderr;
  }
}

/** Without the variables of tests (TREASURY_TEST_SEED): a server refuses those that it does not know. */
export function serverEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('TREASURY_TEST_')));
}

/** A scratch directory that goes when the test ends. */
export function scratchDirectory(t: { after(fn: () => void): void }): string {
  const directory = mkdtempSync(join(tmpdir(), 'treasury-test-'));
  t.after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }));
  return directory;
}

export interface StatusBody {
  firstOffset: string;
  durableOffset: string;
  nextOffset: string;
  materializedOffset: string;
  [more: string]: unknown;
}

export async function fetchStatus(server: ServerProcess): Promise<StatusBody> {
  return (await (await fetch(`http://${server.http}/treasury/v1/status`)).json()) as StatusBody;
}

/** Waits until every durable entry is in the tables. */
export async function untilMaterialized(server: ServerProcess): Promise<StatusBody> {
  const deadline = Date.now() + SETTLE_MAX_MS;
  for (;;) {
    const status = await fetchStatus(server);
    if (status.materializedOffset === status.durableOffset) return status;
    if (Date.now() > deadline)
      throw new Error(`Tables did not catch up: ${JSON.stringify(status)}\n${server.stderr()}`);
    await sleep(50);
  }
}

/** Rows of a SQL query over HTTP. */
export async function fetchSql(server: ServerProcess, query: string): Promise<unknown[][]> {
  const response = await fetch(`http://${server.http}/treasury/v1/sql`, { method: 'POST', body: query });
  const text = await response.text();
  if (!response.ok) throw new Error(`SQL answered ${response.status}: ${text}`);
  return (JSON.parse(text) as { rows: unknown[][] }).rows;
}
