/** Readers of a simulated log while one process of it lives. */
import { OffsetOutOfRangeError } from '../../../src/base/index.ts';
import {
  type DurablePosition,
  type Log,
  type LogFileSystem,
  type LogReader,
  openLogReader,
} from '../../../src/log/index.ts';
import type { LogModel, ReaderView } from './log-model.ts';
import { isInjected } from './simulated-disk.ts';

export interface ReadersOptions {
  readonly directory: string;
  readonly log: Log;
  readonly fileSystem: LogFileSystem;
  readonly model: LogModel;
  /** What others were told last. */
  readonly durable: () => DurablePosition;
  /** Whether retention has a reason to delete segments. */
  readonly mayDelete: () => boolean;
  readonly note: (what: string) => void;
}

interface OpenReader {
  readonly reader: LogReader;
  readonly view: ReaderView;
}

const READERS_MAX = 2;

export class SimulatedReaders {
  readonly #options: ReadersOptions;
  readonly #readers: (OpenReader | null)[] = [];

  constructor(options: ReadersOptions) {
    this.#options = options;
  }

  open(place: number): void {
    const { directory, log, fileSystem, model, durable } = this.#options;
    const { firstOffset, durableOffset } = log.status();
    const from = firstOffset + BigInt(Math.round(Number(durableOffset - firstOffset) * place));
    try {
      const reader = openLogReader({ directory, from, durable: durable(), fileSystem });
      const slot = this.#readers.length < READERS_MAX ? this.#readers.length : 0;
      this.#readers[slot]?.reader.close();
      this.#readers[slot] = { reader, view: model.watch(from) };
    } catch (error) {
      // The status may lag behind a deletion.
      if (!isInjected(error) && !this.#isGone(error)) throw error;
    }
  }

  read(place: number, frames: number): void {
    const open = this.#readers[place];
    if (open === null || open === undefined) return;
    const { reader, view } = open;
    const { model, note } = this.#options;
    const durable = this.#options.durable();
    reader.advance(durable);
    try {
      for (let left = frames; left > 0; left--) {
        const entries = reader.nextFrame();
        if (entries === null) {
          view.readTo = durable.durableOffset;
          return;
        }
        for (const entry of entries) {
          model.see(view, entry, durable.durableOffset);
          view.readTo = entry.offset + 1n;
        }
      }
    } catch (error) {
      const isGone = this.#isGone(error);
      if (!isInjected(error) && !isGone) throw error;
      note(isGone ? 'read of what is deleted' : 'read failed');
      if (isGone) this.close(place);
    }
  }

  readAll(): void {
    for (const place of this.#readers.keys()) this.read(place, Number.POSITIVE_INFINITY);
  }

  close(place: number): void {
    this.#readers[place]?.reader.close();
    this.#readers[place] = null;
  }

  closeAll(): void {
    for (const open of this.#readers) open?.reader.close();
  }

  #isGone(error: unknown): boolean {
    return this.#options.mayDelete() && error instanceof OffsetOutOfRangeError;
  }
}
