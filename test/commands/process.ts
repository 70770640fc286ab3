/** The real `treasury` process, as a user starts it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loaderFlags } from '../helpers/checkout.ts';
import { serverEnvironment } from '../helpers/server-process.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningServer {
  readonly child: ChildProcess;
  readonly readyLine: string;
  readonly http: string;
  readonly otlpHttp: string;
  readonly finished: Promise<Finished>;
}

/** A directory that goes away after the test. */
export function temporaryDirectory(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'treasury-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Runs `treasury` with arguments to its end. */
export function runTreasury(argv: readonly string[]): Promise<Finished> {
  return outcome(start(argv));
}

/** Runs a shell script in which `"$@"` is `treasury`. The exit code is the script's. */
export function runShell(script: string): Promise<Finished> {
  const command = [process.execPath, ...loaderFlags, MAIN];
  const child = spawn('sh', ['-c', script, 'sh', ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: serverEnvironment(),
  });
  child.stdout?.setEncoding('utf8');
  child.stderr?.setEncoding('utf8');
  return outcome(child);
}

/** Starts `treasury serve` on free ports and waits for its ready line. Killed after the test if still there. */
export async function startServer(
  context: TestContext,
  data: string,
  argv: readonly string[] = [],
): Promise<RunningServer> {
  const ports = ['--grpc', '--otlp-http', '--http'].flatMap((flag) => [flag, '127.0.0.1:0']);
  const child = start(['serve', '--data', data, ...ports, ...argv]);
  context.after(() => child.kill('SIGKILL'));
  const finished = outcome(child);
  const readyLine = await new Promise<string>((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (data: string) => {
      text += data;
      const line = /^ready .*$/m.exec(text)?.[0];
      if (line !== undefined) resolve(line);
    });
    void finished.then(({ code, stderr }) => reject(new Error(`The server ended with ${code}: ${stderr}`)));
  });
  const address = (name: string) => `http://${new RegExp(` ${name}=(\\S+)`).exec(readyLine)?.[1]}`;
  return { child, readyLine, http: address('http'), otlpHttp: address('otlp_http'), finished };
}

function start(argv: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, [...loaderFlags, MAIN, ...argv], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: serverEnvironment(),
  });
  child.stdout?.setEncoding('utf8');
  child.stderr?.setEncoding('utf8');
  return child;
}

async function outcome(child: ChildProcess): Promise<Finished> {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (data: string) => {
    stdout += data;
  });
  child.stderr?.on('data', (data: string) => {
    stderr += data;
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { code, signal, stdout, stderr };
}
