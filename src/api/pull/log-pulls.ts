/** The pulls in their thread: turn by turn, each no further ahead of its client than its credit. */
import { LIMITS, type SerializedError } from '../../base/index.ts';
import { type DurablePosition, type EntryPull, openEntryPull } from '../../log/index.ts';
import { createDecodedSteps } from './decoded-steps.ts';
import { createChunk, createMemories } from './chunk-memory.ts';
import type { LogPullRequest, PullEvent, PullWorkerData, StepPart, StepWriter } from './types.ts';

export interface LogPulls {
  /** Never throws: what goes wrong is posted as the pull's error. */
  start(id: number, request: LogPullRequest, durable: DurablePosition): void;
  advance(durable: DurablePosition): void;
  credit(id: number, bytes: number): void;
  cancel(id: number): void;
  /** Memory of a chunk that was sent. */
  giveBack(memory: ArrayBuffer): void;
}

interface RunningPull {
  readonly id: number;
  readonly request: LogPullRequest;
  readonly walk: EntryPull;
  /** Null while it is being made. */
  writer: StepWriter | null;
  /** What is left of the step that is being told. */
  parts: Iterator<StepPart, StepPart> | null;
  /** Everything below was told. */
  toldOffset: bigint;
  isHeadSent: boolean;
  /** Everything durable was told. */
  isIdle: boolean;
  bufferedBytes: number;
}

type Post = (event: PullEvent, transfer?: readonly ArrayBuffer[]) => void;

/** `serialized` makes an error a message. */
export function createLogPulls(
  data: PullWorkerData,
  post: Post,
  serialized: (error: unknown) => SerializedError,
): LogPulls {
  const pulls = new Map<number, RunningPull>();
  const memories = createMemories();
  let durableNow: DurablePosition | null = null;
  let isScheduled = false;

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      let isBusy = false;
      for (const pull of pulls.values()) isBusy = turn(pull) || isBusy;
      if (isBusy) schedule();
    });
  }

  /** Whether the pull could go on at once. */
  function turn(pull: RunningPull): boolean {
    if (!isReady(pull)) return false;
    try {
      send(pull);
    } catch (error) {
      fail(pull, error);
    }
    return pulls.has(pull.id) && isReady(pull);
  }

  function isReady({ writer, isIdle, bufferedBytes }: RunningPull): boolean {
    return writer !== null && !isIdle && bufferedBytes < LIMITS.pullBufferedBytesMax;
  }

  /** Reads for one slice of time, or until a chunk is full. */
  function send(pull: RunningPull): void {
    const { walk, request, id } = pull;
    const writer = pull.writer!;
    const chunk = createChunk(memories);
    let entries = 0;
    const add = (parts: StepPart) => {
      for (const part of parts) chunk.add(part);
    };
    if (!pull.isHeadSent) add([writer.head()]);
    pull.isHeadSent = true;
    let isOver = false;
    const sliceEndMs = performance.now() + LIMITS.pullSliceMs;
    while (chunk.bytes < LIMITS.pullChunkBytes && performance.now() < sliceEndMs) {
      if (pull.parts === null) {
        const step = walk.next();
        if (step === null) {
          isOver = !request.follow || walk.isFull;
          pull.isIdle = true;
          break;
        }
        entries += step.entries.length;
        pull.parts = writer.parts(step);
      }
      const next = pull.parts.next();
      add(next.value);
      if (next.done === true) {
        pull.parts = null;
        pull.toldOffset = walk.nextOffset;
      }
    }
    if (isOver) add(writer.tail());
    if (chunk.bytes > 0) {
      const bytes = chunk.take();
      pull.bufferedBytes += bytes.length;
      post({ type: 'chunk', id, bytes, entries, nextOffset: pull.toldOffset }, [bytes.buffer]);
    }
    if (isOver) {
      drop(pull);
      post({ type: 'end', id });
    }
  }

  function fail(pull: RunningPull, error: unknown): void {
    drop(pull);
    post({ type: 'error', id: pull.id, error: serialized(error) });
  }

  function drop(pull: RunningPull): void {
    pulls.delete(pull.id);
    pull.walk.close();
  }

  return {
    start(id, request, durable) {
      let walk: EntryPull;
      try {
        const { logDirectory: directory, logUuid } = data;
        // Decoders keep what they read; copies do not.
        walk = openEntryPull({ ...request, directory, logUuid, durable, isTransient: !request.decoded });
      } catch (error) {
        return post({ type: 'error', id, error: serialized(error) });
      }
      const pull: RunningPull = {
        id,
        request,
        walk,
        writer: null,
        parts: null,
        toldOffset: walk.nextOffset,
        isHeadSent: false,
        isIdle: false,
        bufferedBytes: 0,
      };
      pulls.set(id, pull);
      // What became durable between the request and now.
      if (request.follow && durableNow !== null) walk.advance(durableNow);
      if (!request.decoded) {
        pull.writer = { head: () => walk.head(), parts: (step) => lastPart(step.parts), tail: () => walk.tail() };
        return schedule();
      }
      createDecodedSteps(data, request).then(
        (writer) => {
          pull.writer = writer;
          schedule();
        },
        (error: unknown) => {
          if (pulls.has(id)) fail(pull, error);
        },
      );
    },
    advance(durable) {
      durableNow = durable;
      for (const pull of pulls.values()) {
        if (!pull.request.follow) continue;
        pull.walk.advance(durable);
        pull.isIdle = false;
      }
      schedule();
    },
    credit(id, bytes) {
      const pull = pulls.get(id);
      if (pull === undefined) return;
      pull.bufferedBytes -= bytes;
      schedule();
    },
    cancel(id) {
      const pull = pulls.get(id);
      if (pull !== undefined) drop(pull);
    },
    giveBack: (memory) => memories.giveBack(memory),
  };
}

function lastPart(part: StepPart): Iterator<StepPart, StepPart> {
  return { next: () => ({ done: true, value: part }) };
}
