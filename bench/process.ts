/** What the benches share: a server process on a scratch directory, its CPU and memory from /proc, the machine's name, medians. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** USER_HZ of Linux on every architecture that Node runs on. */
const CLOCK_TICKS_PER_SECOND = 100;
const START_MAX_MS = 30_000;
/** What the kernel takes for an order to count the peak anew (proc(5)). */
const RESET_PEAK = '5';
/** The longest load takes half a minute; one that hangs ends the bench. */
const PROGRAM_MAX_MS = 3 * 60_000;

export interface Server {
  readonly pid: number;
  readonly grpc: string;
  readonly otlpHttp: string;
  readonly http: string;
  readonly data: string;
  readonly startMs: number;
  /** User and system seconds of all threads since start. */
  cpuSeconds(): number;
  /** Resident bytes now, and at the most since the start or the last `resetRssPeak`. */
  rssBytes(): number;
  rssPeakBytes(): number;
  resetRssPeak(): void;
  /** Of the resident bytes those of files: programs and libraries, which others share. */
  rssFileBytes(): number;
  /** Stops the server, lets `atRest` look at the data directory, and removes it if it was made by the start. */
  stop(atRest?: () => void): Promise<void>;
}

/** Starts the built server on `kept`, or on a fresh directory on the repository's own disk, never on a tmpfs that /tmp may be. */
export async function startServer(flags: readonly string[] = [], kept?: string): Promise<Server> {
  const data = kept ?? mkdtempSync(join(root, 'treasury-data-bench-'));
  const started = performance.now();
  const child = spawn(
    process.execPath,
    [
      join(root, 'dist/main.js'),
      'serve',
      '--data',
      data,
      '--grpc',
      '127.0.0.1:0',
      '--otlp-http',
      '127.0.0.1:0',
      '--http',
      '127.0.0.1:0',
      ...flags,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const ready = await firstLine(child, /^ready /);
  const addresses = Object.fromEntries(ready.split(' ').map((part) => part.split('=')));
  const pid = child.pid!;
  return {
    pid,
    grpc: addresses['grpc'],
    otlpHttp: addresses['otlp_http'],
    http: addresses['http'],
    data,
    startMs: performance.now() - started,
    cpuSeconds: () => cpuSecondsOf(pid),
    rssBytes: () => statusBytes(pid, 'VmRSS'),
    rssPeakBytes: () => statusBytes(pid, 'VmHWM'),
    resetRssPeak: () => writeFileSync(`/proc/${pid}/clear_refs`, RESET_PEAK),
    rssFileBytes: () => statusBytes(pid, 'RssFile'),
    async stop(atRest) {
      child.kill('SIGTERM');
      await once(child, 'exit');
      atRest?.();
      if (kept === undefined) rmSync(data, { recursive: true, force: true });
    },
  };
}

/** Waits for a line of standard output that matches. */
export async function firstLine(child: ChildProcess, pattern: RegExp): Promise<string> {
  const lines = createInterface({ input: child.stdout! });
  const timer = setTimeout(() => child.kill('SIGKILL'), START_MAX_MS);
  try {
    for await (const line of lines) if (pattern.test(line)) return line;
  } finally {
    clearTimeout(timer);
  }
  throw new Error(`Cannot start ${child.spawnfile}: it ended before it was ready`);
}

export function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND;
}

/** CPU seconds of each thread of a process, by thread id. */
export function threadCpuSeconds(pid: number): Map<number, number> {
  return new Map(
    readdirSync(`/proc/${pid}/task`).map((task) => {
      const fields = readFileSync(`/proc/${pid}/task/${task}/stat`, 'utf8').split(') ')[1]!.split(' ');
      return [Number(task), (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND];
    }),
  );
}

function statusBytes(pid: number, field: string): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match![1]) * 1024;
}

/** Bytes of all files below a directory. */
export function directoryBytes(directory: string): number {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((total, entry) => total + statSync(join(entry.parentPath, entry.name)).size, 0);
}

/** Runs a bench program of this folder with one JSON argument and returns the JSON it prints. */
export async function runJson<Result>(file: string, options: unknown): Promise<Result> {
  const child = spawn(process.execPath, ['--import', 'tsx', join(root, 'bench', file), JSON.stringify(options)], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: PROGRAM_MAX_MS,
    killSignal: 'SIGKILL',
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${file} exited with ${code}`);
  return JSON.parse(output) as Result;
}

/** Runs SQL on a server and returns the rows of the JSON answer. */
export async function sql(http: string, query: string): Promise<unknown[][]> {
  const response = await fetch(`http://${http}/treasury/v1/sql`, { method: 'POST', body: query });
  if (!response.ok) throw new Error(`SQL answered ${response.status}: ${await response.text()}`);
  return ((await response.json()) as { rows: unknown[][] }).rows;
}

interface StatusAnswer {
  durableOffset: number;
  materializedOffset: number;
}

export async function status(http: string): Promise<StatusAnswer> {
  return (await (await fetch(`http://${http}/treasury/v1/status`)).json()) as StatusAnswer;
}

/** Unix milliseconds at which every durable entry was in the tables. */
export async function materialized(server: Server): Promise<number> {
  for (;;) {
    const now = await status(server.http);
    if (now.materializedOffset === now.durableOffset) return Date.now();
    await sleep(25);
  }
}

/** A figure of /metrics, or undefined when there is none of that name. */
export async function metric(server: Server, name: string): Promise<string | undefined> {
  const text = await (await fetch(`http://${server.http}/metrics`)).text();
  return new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text)?.[1];
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

export function machine(): string {
  const gib = (totalmem() / 2 ** 30).toFixed(0);
  return `${cpus()[0]?.model ?? 'unknown CPU'}, ${availableParallelism()} cores, ${gib} GiB, Node ${process.version}, ${process.platform}`;
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
