/**
 * Moves the wall clock of a real process while it runs: a library (clock-shim.c, built with the machine's C compiler when a test first
 * asks for it) that the process preloads, and how far its clock is off.
 *
 *   const clock = clockShim(t);
 *   if (clock === null) return;
 *   const server = await startServerProcess(data, '127.0.0.1:0', [], clock.env);
 *   clock.set(-3 * DAY_MS);
 */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface ClockShim {
  /** To be added to the environment of the process. */
  readonly env: Readonly<Record<string, string>>;
  /** How far the clock of the process is ahead from now on; negative: behind. At first 0. */
  set(aheadMs: number): void;
}

interface TestLike {
  after(fn: () => void): void;
  skip(reason: string): void;
}

const SOURCE = fileURLToPath(new URL('./clock-shim.c', import.meta.url));
const NANOS_PER_MILLI = 1_000_000n;

let built: { readonly path: string } | { readonly reason: string } | null = null;

/** Null, and the test skipped, where the machine cannot build or preload it, or where Node does not follow it. */
export function clockShim(t: TestLike): ClockShim | null {
  built ??= build();
  if ('reason' in built) {
    t.skip(built.reason);
    return null;
  }
  const folder = mkdtempSync(join(tmpdir(), 'clock-control-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return controlOf(built.path, join(folder, 'control'), t);
}

function controlOf(library: string, file: string, t: Pick<TestLike, 'after'>): ClockShim {
  const descriptor = openSync(file, 'w+');
  t.after(() => closeSync(descriptor));
  const set = (aheadMs: number): void => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(aheadMs) * NANOS_PER_MILLI);
    // One write of an aligned word: the process sees the old or the new one.
    writeSync(descriptor, bytes, 0, bytes.length, 0);
  };
  set(0);
  return { env: { LD_PRELOAD: library, CLOCK_SHIM_CONTROL: file }, set };
}

/** Builds the library into a folder that goes with this process, and sees whether a process that preloads it shows another time. */
function build(): { readonly path: string } | { readonly reason: string } {
  if (process.platform !== 'linux') return { reason: `clocks are moved on Linux, this is ${process.platform}` };
  const folder = mkdtempSync(join(tmpdir(), 'clock-shim-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'clock-shim.so');
  const compiler = spawnSync('cc', ['-O2', '-shared', '-fPIC', '-o', path, SOURCE], { encoding: 'utf8' });
  if (compiler.status !== 0) {
    return { reason: `cc does not build the clock library: ${compiler.error?.message ?? compiler.stderr.trim()}` };
  }
  const closers: (() => void)[] = [];
  const { env, set } = controlOf(path, join(folder, 'control'), { after: (fn) => void closers.push(fn) });
  set(1_000_000_000_000);
  const shown = spawnSync(process.execPath, ['-p', 'Date.now()'], { env, encoding: 'utf8' });
  for (const close of closers) close();
  const aheadMs = Number(shown.stdout) - Date.now();
  if (shown.status === 0 && Math.abs(aheadMs - 1_000_000_000_000) < 60_000) return { path };
  return { reason: `processes do not follow the clock library: ${shown.error?.message ?? shown.stderr.trim()}` };
}
