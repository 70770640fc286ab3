/**
 * A log for tests of the receiver: appends to a real file and fsyncs it, and does as told otherwise (holds appends, refuses them).
 * The real one is used where nothing has to go wrong on command.
 */
import { closeSync, fdatasync, mkdtempSync, openSync, rmSync, write } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { LogUnavailableError } from '../../../src/base/index.ts';
import type { AppendOptions, Log, LogStream, StateUpdate } from '../../../src/log/index.ts';

interface LoggedBatch {
  readonly streamId: bigint;
  readonly signal: number;
  readonly batchId: bigint;
  readonly flags: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly record: Buffer;
}

export interface FileLog extends Log {
  /** Batches whose append settled well, in that order. */
  readonly batches: readonly LoggedBatch[];
  readonly streamsOpened: number;
  readonly streamsClosed: number;
  /** State updates taken by `absorb`. */
  readonly absorbed: number;
  /** Appends waiting because of `hold`. */
  readonly held: number;
  /** Appends called so far. */
  readonly appends: number;
  /** Appends wait from now on. */
  hold(): void;
  /** Lets waiting appends go on, the last one first if `isReversed`. */
  release(isReversed?: boolean): void;
  /** The next `count` appends are refused. */
  refuse(count: number): void;
  /** `openStream` throws from now on. */
  refuseStreams(): void;
}

/** Opens one in a directory of its own, which `close()` removes. */
export function openFileLog(): FileLog {
  const directory = mkdtempSync(join(tmpdir(), 'treasury-grpc-'));
  const file = openSync(join(directory, 'log'), 'a');
  const batches: LoggedBatch[] = [];
  const waiting: (() => void)[] = [];
  let written: Promise<void> = Promise.resolve();
  let isHolding = false;
  let refusals = 0;
  let refusesStreams = false;
  const counts = { streamsOpened: 0, streamsClosed: 0, absorbed: 0, appends: 0 };

  async function append(stream: { id: bigint; signal: number }, options: AppendOptions): Promise<{ offset: bigint }> {
    counts.appends++;
    const isRefused = refusals > 0;
    if (isRefused) refusals--;
    if (isHolding) await new Promise<void>((resolve) => waiting.push(resolve));
    if (isRefused) throw new LogUnavailableError('Cannot append: the test says so');
    const record = Buffer.concat(options.record);
    written = written.then(async () => {
      await writeAsync(file, record);
      await syncAsync(file);
    });
    await written;
    const { batchId, flags = 0, headers = new Map<string, string>() } = options;
    batches.push({ streamId: stream.id, signal: stream.signal, batchId, flags, headers, record });
    return { offset: BigInt(batches.length - 1) };
  }

  function openStream(signal: number): LogStream {
    if (refusesStreams) throw new LogUnavailableError('Cannot open a stream: the test says so');
    const stream = { id: BigInt(++counts.streamsOpened), signal };
    const states = new Map<number, number>();
    const take = (updates: readonly StateUpdate[] = []): void => {
      for (const { payloadType, kind, bytes } of updates) {
        states.set(payloadType, bytes.length + (kind === 'schema' ? 0 : (states.get(payloadType) ?? 0)));
      }
    };
    return {
      ...stream,
      get stateBytes() {
        return [...states.values()].reduce((sum, bytes) => sum + bytes, 0);
      },
      append(options) {
        take(options.stateUpdates);
        return append(stream, options);
      },
      absorb(updates) {
        counts.absorbed += updates.length;
        take(updates);
      },
      close() {
        counts.streamsClosed++;
        states.clear();
      },
    };
  }

  return {
    batches,
    get streamsOpened() {
      return counts.streamsOpened;
    },
    get streamsClosed() {
      return counts.streamsClosed;
    },
    get absorbed() {
      return counts.absorbed;
    },
    get appends() {
      return counts.appends;
    },
    get held() {
      return waiting.length;
    },
    hold() {
      isHolding = true;
    },
    release(isReversed = false) {
      isHolding = false;
      const released = waiting.splice(0);
      for (const resolve of isReversed ? released.reverse() : released) resolve();
    },
    refuse(count) {
      refusals = count;
    },
    refuseStreams() {
      refusesStreams = true;
    },
    openStream,
    appendOtlp: (signal, options) => append({ id: 0n, signal }, options),
    onDurable: () => () => {},
    status() {
      throw new Error('the receiver does not ask for it');
    },
    close() {
      closeSync(file);
      rmSync(directory, { recursive: true, force: true });
      return Promise.resolve();
    },
  };
}

const writeAsync = promisify(write) as (file: number, bytes: Buffer) => Promise<unknown>;
const syncAsync = promisify(fdatasync);
