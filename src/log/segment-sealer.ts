/**
 * Seals segments that no entry goes to any more and that were left without a seal: by a process that was killed, by a sync or a seal that
 * failed. Beside everything else, and again until the disk takes it: nothing waits for it.
 */
import { errorMessage, type Logger } from '../base/index.ts';
import type { LogFile, LogFileSystem } from './file-system.ts';
import { END_OF_STREAM, segmentFileName, segmentPath } from './layout.ts';
import type { SegmentRow } from './segment-index.ts';
import { type SegmentScan, scanSegment } from './segment-scan.ts';
import { copyTail } from './torn-tail.ts';

export interface SegmentSealerOptions {
  readonly directory: string;
  readonly fileSystem: LogFileSystem;
  readonly logger: Logger;
  /** Between two attempts. */
  readonly intervalMs: number;
  /** Called at intervals, before segments are sealed. */
  readonly onInterval: () => void;
  /** Whether a segment is still part of the log: retention may have deleted it. */
  readonly isKept: (baseOffset: bigint) => boolean;
  /** Called when a segment has its seal, durably, with what the index is to know. */
  readonly onSealed: (segment: SegmentRow) => void;
}

export class SegmentSealer {
  readonly #options: SegmentSealerOptions;
  /** The newest last. */
  readonly #left: SegmentRow[] = [];
  readonly #failing = new Map<bigint, string>();
  /** Segments whose tail is in the quarantine already. */
  readonly #copied = new Set<bigint>();
  #round: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #isStopped = false;

  constructor(options: SegmentSealerOptions) {
    this.#options = options;
  }

  /** Begins with segments, oldest first, of which it is known that the log ended, or was given up, where their rows end. */
  start(left: readonly SegmentRow[]): void {
    this.#left.push(...left);
    this.#begin();
    this.#timer = setInterval(() => {
      this.#options.onInterval();
      this.#begin();
    }, this.#options.intervalMs).unref();
  }

  /** Takes a segment whose seal, or last frame, the disk has just refused: to be tried later. */
  add(row: SegmentRow): void {
    this.#left.push(row);
  }

  /** Ends the work; resolves when the segment under way is sealed or given up. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#round;
  }

  #begin(): void {
    if (this.#left.length === 0 || this.#isStopped) return;
    this.#round ??= this.#sealAll().finally(() => {
      this.#round = null;
    });
  }

  /** The newest first: what else there is, the segment that was written last is sealed soon. Never rejects. */
  async #sealAll(): Promise<void> {
    let sealed = 0;
    for (const row of this.#left.toReversed()) {
      const outcome = await this.#attempt(row);
      if (outcome === 'sealed') sealed++;
      if (outcome !== 'failed') this.#forget(row);
      if (this.#isStopped) break;
    }
    if (sealed > 0) this.#options.logger.info('Sealed segments that were left without a seal', { segments: sealed });
  }

  async #attempt(row: SegmentRow): Promise<'sealed' | 'failed' | 'gone'> {
    const { baseOffset } = row;
    const { isKept } = this.#options;
    if (!isKept(baseOffset)) return 'gone';
    try {
      await this.#seal(row);
      return 'sealed';
    } catch (error) {
      if (!isKept(baseOffset)) return 'gone';
      this.#note(baseOffset, errorMessage(error));
      return 'failed';
    }
  }

  #forget(row: SegmentRow): void {
    this.#left.splice(this.#left.indexOf(row), 1);
    this.#failing.delete(row.baseOffset);
    this.#copied.delete(row.baseOffset);
  }

  async #seal(row: SegmentRow): Promise<void> {
    const { directory, fileSystem, onSealed } = this.#options;
    const scan = this.#scan(row);
    const file = await fileSystem.openForWriting(segmentPath(directory, row.baseOffset));
    try {
      await this.#cut(row, scan, file);
      await this.#writeSeal(row, file);
    } finally {
      await file.close().catch(() => {});
    }
    onSealed({ ...row, bytes: row.bytes + END_OF_STREAM.length, sealed: true });
  }

  /** What stands behind the entries of a segment. */
  #scan({ baseOffset, bytes, endOffset, lastCrc }: SegmentRow): SegmentScan {
    const { directory, fileSystem } = this.#options;
    const start = { position: bytes, endOffset, lastCrc };
    const scan = scanSegment({ directory, fileSystem, baseOffset, limitOffset: endOffset, start, records: false });
    if (scan.fileBytes < bytes) throw new Error(`Cannot find the end: ${scan.fileBytes} of ${bytes} bytes are there`);
    return scan;
  }

  /** Cuts what stands behind the entries; a copy is kept of all but zeros and seals. */
  async #cut({ baseOffset, bytes }: SegmentRow, scan: SegmentScan, file: LogFile): Promise<void> {
    const isBlank = scan.damage.length === 0 && (scan.tail === null || scan.isTailBlank);
    if (!isBlank && !this.#copied.has(baseOffset)) {
      await copyTail(this.#options, { ...scan, bytes });
      this.#copied.add(baseOffset);
    }
    // Also a seal: it may be one whose sync has failed.
    if (scan.fileBytes > bytes) await file.truncate(bytes);
  }

  async #writeSeal({ bytes }: SegmentRow, file: LogFile): Promise<void> {
    try {
      const written = await file.write([END_OF_STREAM], bytes);
      if (written !== END_OF_STREAM.length) throw new Error(`Cannot write the seal: ${written} bytes were taken`);
      await file.dataSync();
    } catch (error) {
      await file.truncate(bytes).catch(() => {});
      throw error;
    }
  }

  #note(baseOffset: bigint, reason: string): void {
    if (this.#failing.get(baseOffset) === reason) return;
    this.#failing.set(baseOffset, reason);
    this.#options.logger.warn('Cannot seal a segment, it is tried again', {
      segment: segmentFileName(baseOffset),
      error: reason,
    });
  }
}
