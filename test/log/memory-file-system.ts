/** A disk in memory that can fail and lose power: what was not synced is lost, or kept in part. */
import type { LogFile, LogFileSystem } from '../../src/log/index.ts';

interface MemoryFile {
  /** As processes see it. */
  data: Buffer;
  /** As it is after a power cut. */
  durable: Buffer;
  isNameDurable: boolean;
}

export type Operation = 'create' | 'write' | 'dataSync' | 'truncate' | 'remove' | 'rename' | 'syncDirectory';
/** What happens to an operation: `short` takes half of a write, `lie` does all of it and fails, `fail` does nothing and fails. */
export type Fault = 'none' | 'fail' | 'short' | 'lie';

export class MemoryFileSystem implements LogFileSystem {
  readonly #files: Map<string, MemoryFile>;
  /** Decides over each operation that changes something, when it happens: none fails after a test has made the disk well. */
  fault: (operation: Operation, path: string) => Fault = () => 'none';
  /** Syncs wait for it. */
  hold: Promise<void> | null = null;
  /** Frames written and not yet synced at most, over all files. */
  unsyncedMax = 0;
  /** Files with such a frame. */
  readonly #unsynced = new Set<MemoryFile>();
  /** What the disk says of its room; writes do not change it. */
  free = Number.MAX_SAFE_INTEGER;
  /** Descriptors that were synced again after a failed sync. */
  retriedSyncs = 0;

  constructor(files: Map<string, MemoryFile> = new Map()) {
    this.#files = files;
  }

  /** The disk after a power cut. `keep` says how many of a file's unsynced last bytes made it. */
  afterPowerCut(keep: (unsyncedBytes: number) => number = () => 0): MemoryFileSystem {
    const files = new Map<string, MemoryFile>();
    for (const [path, file] of this.#files) {
      if (!file.isNameDurable) continue;
      const tail = file.data.subarray(file.durable.length);
      const data = Buffer.concat([file.durable, tail.subarray(0, keep(tail.length))]);
      files.set(path, { data, durable: data, isNameDurable: true });
    }
    return new MemoryFileSystem(files);
  }

  /** The disk as it is for the next process, when the one that used it was killed. */
  afterKill(): MemoryFileSystem {
    return new MemoryFileSystem(new Map([...this.#files].map(([path, file]) => [path, { ...file }])));
  }

  /** The bytes of a file. */
  bytes(path: string): Buffer {
    return this.#file(path).data;
  }

  makeDirectory(): void {}

  list(directory: string): string[] {
    const prefix = `${directory}/`;
    return [...this.#files.keys()]
      .filter((path) => path.startsWith(prefix) && !path.slice(prefix.length).includes('/'))
      .map((path) => path.slice(prefix.length));
  }

  async create(path: string): Promise<LogFile> {
    if (this.#files.has(path)) throw errno('EEXIST');
    return this.#change('create', path, () => {
      const file = { data: Buffer.alloc(0), durable: Buffer.alloc(0), isNameDurable: false };
      this.#files.set(path, file);
      return this.#open(path, file);
    });
  }

  async openForWriting(path: string): Promise<LogFile> {
    return this.#open(path, this.#file(path));
  }

  openForReading(path: string): { read(buffer: Uint8Array, position: number): number; size(): number; close(): void } {
    const file = this.#file(path);
    return {
      read: (buffer, position) =>
        file.data.copy(buffer, 0, position, Math.min(position + buffer.length, file.data.length)),
      size: () => file.data.length,
      close() {},
    };
  }

  async remove(path: string): Promise<void> {
    this.#file(path);
    await this.#change('remove', path, () => this.#files.delete(path));
  }

  async rename(from: string, to: string): Promise<void> {
    const file = this.#file(from);
    await this.#change('rename', from, () => {
      this.#files.delete(from);
      this.#files.set(to, file);
    });
  }

  async freeBytes(): Promise<number> {
    return this.free;
  }

  async inspectDirectory(path: string): Promise<{ id: string; obstacle: null }> {
    return { id: path, obstacle: null };
  }

  async syncDirectory(directory: string): Promise<void> {
    await this.#change('syncDirectory', directory, () => {
      for (const [path, file] of this.#files) if (path.startsWith(`${directory}/`)) file.isNameDurable = true;
    });
  }

  #open(path: string, file: MemoryFile): LogFile {
    let hasFailedSync = false;
    return {
      write: async (parts, position) => {
        const bytes = Buffer.concat(parts);
        // A header begins its file, a seal is a single part.
        if (position > 0 && parts.length > 1) this.#unsynced.add(file);
        this.unsyncedMax = Math.max(this.unsyncedMax, this.#unsynced.size);
        let taken = bytes.length;
        await turn();
        const fault = this.fault('write', path);
        if (fault === 'fail') taken = 0;
        if (fault === 'short') taken = Math.floor(bytes.length / 2);
        if (taken > 0) {
          const end = Math.max(file.data.length, position + taken);
          const data = Buffer.concat([file.data], end);
          bytes.copy(data, position, 0, taken);
          file.data = data;
        }
        if (fault !== 'none') this.#unsynced.delete(file);
        if (fault === 'fail' || fault === 'lie') throw errno('ENOSPC');
        return taken;
      },
      dataSync: async () => {
        if (hasFailedSync) this.retriedSyncs++;
        await turn();
        await this.hold;
        const fault = this.fault('dataSync', path);
        this.#unsynced.delete(file);
        if (fault === 'fail') hasFailedSync = true;
        if (fault === 'fail') throw errno('EIO');
        file.durable = file.data;
        if (fault === 'lie') hasFailedSync = true;
        if (fault === 'lie') throw errno('EIO');
      },
      truncate: async (bytes) => {
        await this.#change('truncate', path, () => {
          file.data = file.data.subarray(0, bytes);
        });
      },
      close: turn,
    };
  }

  #file(path: string): MemoryFile {
    const file = this.#files.get(path);
    if (file === undefined) throw errno('ENOENT');
    return file;
  }

  async #change<T>(operation: Operation, path: string, change: () => T): Promise<T> {
    await turn();
    const fault = this.fault(operation, path);
    if (fault === 'fail' || fault === 'short') throw errno('EIO');
    const result = change();
    if (fault === 'lie') throw errno('EIO');
    return result;
  }
}

function errno(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
