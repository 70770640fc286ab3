/**
 * Faults in the file calls of a real process: a library (fault-shim.c, built with the machine's C compiler when a test first asks for it)
 * that the process preloads, and the rules for it. Rules may be changed at any time; the process follows at once.
 *
 *   const shim = faultShim(t);
 *   if (shim === null) return;
 *   const server = await startServerProcess(data, '127.0.0.1:0', [], shim.env);
 *   shim.set([{ calls: ['sync'], path: '.arrows', skip: 3, times: 1, error: 'EIO' }]);
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** In the order of fault-shim.c. `create` is an open with O_CREAT, `unlink` any removal, `sync` also that of a folder. */
const CALLS = [
  'write',
  'sync',
  'open',
  'create',
  'unlink',
  'rename',
  'truncate',
  'allocate',
  'mkdir',
  'close',
] as const;

/** A kind of call. `close` is recorded and never counted or made to fail. */
export type FaultCall = (typeof CALLS)[number];

/** Every kind that a rule may name. */
export const FAULT_CALLS: readonly FaultCall[] = CALLS.filter((call) => call !== 'close');

/** What happens to calls. Without `error`, `shortBytes`, `delayMs` and `kill` they are only counted. */
export interface FaultRule {
  readonly calls: readonly FaultCall[];
  /** A part of the path; all when missing. */
  readonly path?: string;
  /** No path that has this part. */
  readonly notPath?: string;
  /** So many matching calls go through first. */
  readonly skip?: number;
  /** So many fail then; all from there on when missing. */
  readonly times?: number;
  /** The call is not made and fails with this errno, such as EIO. */
  readonly error?: keyof typeof constants.errno;
  /** A write takes at most so many bytes. */
  readonly shortBytes?: number;
  /** The call waits first, at most until the rules change. */
  readonly delayMs?: number;
  /** The process ends by SIGKILL before the call. */
  readonly kill?: boolean;
}

/** What a rule has met since it was set. */
export interface FaultCount {
  readonly matched: number;
  /** How many of them it had its turn at. */
  readonly fired: number;
}

/** One call that was made or made to fail, in their order. */
export interface RecordedCall {
  readonly call: FaultCall;
  readonly path: string;
  /** Number of the opening that the descriptor came from; 0 for calls by path. */
  readonly opened: number;
  /** Of the rule; null when the call was made. */
  readonly error: string | null;
  /** What the call returned. */
  readonly result: number;
  /** Place of the rule that had its turn; null when none had. */
  readonly rule: number | null;
}

export interface FaultShim {
  /** To be added to the environment of the process. Two processes may share it; they count together. */
  readonly env: Readonly<Record<string, string>>;
  /** Replaces the rules, with counts of 0. All rules that match count a call; the first that has its turn decides. */
  set(rules: readonly FaultRule[]): void;
  /** No rules any more: calls that wait go on. */
  clear(): void;
  /** For each rule of the last `set`. */
  counts(): FaultCount[];
  /** All calls on watched files since the beginning. */
  calls(): RecordedCall[];
}

interface TestLike {
  after(fn: () => void): void;
  skip(reason: string): void;
}

const SOURCE = fileURLToPath(new URL('./fault-shim.c', import.meta.url));

const MAGIC = 0x74726673;
const RULES_MAX = 32;
const PATHS_MAX = 4096;
const CALLS_MAX = 1 << 18;
const PATH_BYTES = 256;
const PART_BYTES = 200;
const UNDER_AT = 256;
const RULES_AT = UNDER_AT + PATH_BYTES;
const RULE_BYTES = 512;
const PATHS_AT = RULES_AT + RULES_MAX * RULE_BYTES;
const CALLS_AT = PATHS_AT + PATHS_MAX * PATH_BYTES;
const CALL_BYTES = 32;
const CONTROL_BYTES = CALLS_AT + CALLS_MAX * CALL_BYTES;
const FOR_EVER = -1n;

let built: { readonly path: string } | { readonly reason: string } | null = null;

/**
 * Makes a shim for files whose path contains `under` (a data directory of `scratchDirectory` unless told otherwise). Null, and the test
 * skipped, where the machine cannot build or preload it.
 */
export function faultShim(t: TestLike, under = 'treasury-test-'): FaultShim | null {
  built ??= build();
  if ('reason' in built) {
    t.skip(built.reason);
    return null;
  }
  const folder = mkdtempSync(join(tmpdir(), 'fault-control-'));
  const control = join(folder, 'control');
  const descriptor = openSync(control, 'w+');
  t.after(() => {
    closeSync(descriptor);
    rmSync(folder, { recursive: true, force: true });
  });
  const head = Buffer.alloc(RULES_AT);
  head.writeUInt32LE(MAGIC, 0);
  writeText(head, under, UNDER_AT, PATH_BYTES);
  writeSync(descriptor, Buffer.alloc(1), 0, 1, CONTROL_BYTES - 1);
  writeSync(descriptor, head, 0, head.length, 0);
  // io_uring writes without calling anything that could be stood between.
  const env = { LD_PRELOAD: built.path, FAULT_SHIM_CONTROL: control, UV_USE_IO_URING: '0' };
  return new ControlledShim(descriptor, env);
}

class ControlledShim implements FaultShim {
  readonly env: Readonly<Record<string, string>>;
  readonly #descriptor: number;
  #rules = 0;
  #generation = 0;

  constructor(descriptor: number, env: Readonly<Record<string, string>>) {
    this.#descriptor = descriptor;
    this.env = env;
  }

  set(rules: readonly FaultRule[]): void {
    assert.ok(rules.length <= RULES_MAX, `at most ${RULES_MAX} rules`);
    this.#writeHead(0);
    const bytes = Buffer.concat(rules.map(encodeRule));
    if (bytes.length > 0) writeSync(this.#descriptor, bytes, 0, bytes.length, RULES_AT);
    this.#rules = rules.length;
    this.#writeHead(rules.length);
  }

  clear(): void {
    this.#writeHead(0);
  }

  counts(): FaultCount[] {
    const bytes = this.#read(RULES_AT, this.#rules * RULE_BYTES);
    return Array.from({ length: this.#rules }, (_, i) => ({
      matched: Number(bytes.readBigUInt64LE(i * RULE_BYTES + 440)),
      fired: Number(bytes.readBigUInt64LE(i * RULE_BYTES + 448)),
    }));
  }

  calls(): RecordedCall[] {
    const head = this.#read(0, UNDER_AT);
    const pathBytes = this.#read(PATHS_AT, head.readUInt32LE(12) * PATH_BYTES);
    const paths = Array.from({ length: head.readUInt32LE(12) }, (_, i) => readText(pathBytes, i * PATH_BYTES));
    const count = head.readUInt32LE(16);
    assert.ok(count <= CALLS_MAX, `the record has room for ${CALLS_MAX} calls, ${count} were made`);
    const bytes = this.#read(CALLS_AT, count * CALL_BYTES);
    const calls: RecordedCall[] = [];
    for (let at = 0; at < bytes.length; at += CALL_BYTES) {
      if (bytes.readUInt32LE(at + 24) === 0) continue;
      const error = bytes.readInt32LE(at + 12);
      const rule = bytes.readUInt32LE(at + 28);
      calls.push({
        call: CALLS[bytes.readUInt32LE(at)]!,
        path: paths[bytes.readUInt32LE(at + 4)]!,
        opened: bytes.readUInt32LE(at + 8),
        error: error === 0 ? null : nameOfError(error),
        result: Number(bytes.readBigInt64LE(at + 16)),
        rule: rule === 0 ? null : rule - 1,
      });
    }
    return calls;
  }

  /** The generation changes each time, which ends what waits. */
  #writeHead(rules: number): void {
    const head = Buffer.alloc(8);
    head.writeUInt32LE(rules, 0);
    head.writeUInt32LE(++this.#generation, 4);
    writeSync(this.#descriptor, head, 0, head.length, 4);
  }

  #read(at: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    assert.equal(readSync(this.#descriptor, bytes, 0, length, at), length);
    return bytes;
  }
}

function encodeRule(rule: FaultRule): Buffer {
  const bytes = Buffer.alloc(RULE_BYTES);
  let mask = 0;
  for (const call of rule.calls) mask |= 1 << CALLS.indexOf(call);
  bytes.writeUInt32LE(mask, 0);
  bytes.writeUInt32LE(actionOf(rule), 4);
  bytes.writeInt32LE(rule.error === undefined ? 0 : constants.errno[rule.error], 8);
  bytes.writeUInt32LE(rule.delayMs ?? 0, 12);
  bytes.writeBigInt64LE(BigInt(rule.skip ?? 0), 16);
  bytes.writeBigInt64LE(rule.times === undefined ? FOR_EVER : BigInt(rule.times), 24);
  bytes.writeBigUInt64LE(BigInt(rule.shortBytes ?? 0), 32);
  writeText(bytes, rule.path ?? '', 40, PART_BYTES);
  writeText(bytes, rule.notPath ?? '', 40 + PART_BYTES, PART_BYTES);
  return bytes;
}

/** In the order of fault-shim.c: pass, fail, short, kill. */
function actionOf({ error, shortBytes, kill }: FaultRule): number {
  if (kill === true) return 3;
  if (error !== undefined) return 1;
  return shortBytes === undefined ? 0 : 2;
}

function nameOfError(number: number): string {
  return Object.entries(constants.errno).find(([, value]) => value === number)?.[0] ?? String(number);
}

function writeText(bytes: Buffer, text: string, at: number, room: number): void {
  assert.ok(Buffer.byteLength(text) < room, `too long for the shim: ${text}`);
  bytes.write(text, at);
}

function readText(bytes: Buffer, at: number): string {
  return bytes.toString('utf8', at, bytes.indexOf(0, at));
}

/** Builds the library into a folder that goes with this process, and sees whether a process can preload it. */
function build(): { readonly path: string } | { readonly reason: string } {
  if (process.platform !== 'linux') return { reason: `faults are planted on Linux, this is ${process.platform}` };
  const folder = mkdtempSync(join(tmpdir(), 'fault-shim-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'fault-shim.so');
  const compiler = spawnSync('cc', ['-O2', '-shared', '-fPIC', '-o', path, SOURCE, '-ldl'], { encoding: 'utf8' });
  if (compiler.status !== 0) {
    return { reason: `cc does not build the fault library: ${compiler.error?.message ?? compiler.stderr.trim()}` };
  }
  const loaded = spawnSync(process.execPath, ['-e', ''], { env: { LD_PRELOAD: path }, encoding: 'utf8' });
  if (loaded.status === 0 && loaded.stderr === '') return { path };
  return { reason: `processes cannot preload the fault library: ${loaded.error?.message ?? loaded.stderr.trim()}` };
}
