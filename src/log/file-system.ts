/**
 * The one way to segment files. Everything that the log writes or reads goes through here, so that tests can put a disk behind it that
 * fails or loses power. Writing is asynchronous (libuv's threads), reading is not: it happens at start, offline or in a worker.
 */
import {
  access,
  close,
  closeSync,
  constants,
  fdatasync,
  fstat,
  fstatSync,
  fsync,
  ftruncate,
  open,
  openSync,
  read,
  readdirSync,
  readlinkSync,
  readSync,
  rename,
  type Stats,
  stat,
  statfs,
  unlink,
  writev,
} from 'node:fs';
import { TreasuryError } from '../base/index.ts';
import { makeDurableDirectory } from './durable-directory.ts';

/** An open file. Positions and sizes in bytes. */
export interface LogFile {
  /** Writes the parts one after the other from `position` on. Resolves with the bytes written, which may be fewer: a failure too. */
  write(parts: readonly Uint8Array[], position: number): Promise<number>;
  /**
   * Resolves when all data written, and the size, are on the disk, in the file that is found at its path. After a rejection the file
   * must not be synced again.
   */
  dataSync(): Promise<void>;
  truncate(bytes: number): Promise<void>;
  close(): Promise<void>;
}

/** A file opened for reading. */
export interface LogReadFile {
  /** Fills `buffer` from `position` on; returns the bytes read, fewer only at the end of the file. */
  read(buffer: Uint8Array, position: number): number;
  size(): number;
  close(): void;
}

/** All methods fail with the error of the operating system (`code` as in errno). */
export interface LogFileSystem {
  /** Makes a folder and those that lead to it; their names are on the disk when it returns. */
  makeDirectory(path: string): void;
  /** Names in a directory, in no order. */
  list(directory: string): string[];
  /** Creates a file that must not exist (EEXIST). */
  create(path: string): Promise<LogFile>;
  /** Opens an existing file for writing. */
  openForWriting(path: string): Promise<LogFile>;
  openForReading(path: string): LogReadFile;
  remove(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Bytes that may still be written to the disk of a directory, as far as the file system says. */
  freeBytes(directory: string): Promise<number>;
  /** Which directory is at a path, and what would keep a file from being made in it. Rejects when there is none. */
  inspectDirectory(path: string): Promise<DirectoryFacts>;
  /** Resolves when the names in a directory are on the disk. */
  syncDirectory(path: string): Promise<void>;
}

export interface DirectoryFacts {
  /** The same as long as the directory is the same, whatever its path. */
  readonly id: string;
  readonly obstacle: Error | null;
}

/**
 * One call that writes and syncs, instead of two, spares a frame two changes of threads: a tenth to a fifth of a small commit. Elsewhere
 * the flag is missing, or means less than a sync.
 */
const SYNCED_WRITES = process.platform === 'linux' ? constants.O_DSYNC : 0;

/** Every message of a segment begins with 8 bytes that are not those before it, and a page takes them together. */
const TAKEN_HEAD_BYTES = 8;
/** Of one call on Linux (IOV_MAX). */
const PARTS_MAX = 1024;

/** The file system of the machine. */
export const realFileSystem: LogFileSystem = {
  makeDirectory(path) {
    makeDurableDirectory(path);
  },
  list(directory) {
    return readdirSync(directory);
  },
  create(path) {
    return createFile(path, SYNCED_WRITES);
  },
  openForWriting(path) {
    return openFile(path, constants.O_RDWR);
  },
  openForReading(path) {
    // Not blocking: opening a pipe would wait for its other end.
    const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if (!fstatSync(descriptor).isFile()) {
      closeSync(descriptor);
      throw new TreasuryError('TREASURY_LOG_CORRUPT', `Cannot read ${path}: it is no file`, { facts: { path } });
    }
    return {
      read(buffer, position) {
        let end = 0;
        while (end < buffer.length) {
          const bytes = readSync(descriptor, buffer, end, buffer.length - end, position + end);
          if (bytes === 0) break;
          end += bytes;
        }
        return end;
      },
      size() {
        return fstatSync(descriptor).size;
      },
      close() {
        closeSync(descriptor);
      },
    };
  },
  remove(path) {
    return settled((done) => unlink(path, done));
  },
  rename(from, to) {
    return settled((done) => rename(from, to, done));
  },
  freeBytes(directory) {
    return new Promise((resolve, reject) => {
      statfs(directory, (error, stats) => {
        if (error === null) resolve(stats.bavail * stats.bsize);
        else reject(error);
      });
    });
  },
  async inspectDirectory(path) {
    const id = identityOf(await statsOf((done) => stat(path, done)));
    const attempts = [
      settled((done) => access(path, constants.W_OK | constants.X_OK, done)),
      openDescriptor(path, constants.O_RDONLY).then((descriptor) => settled((done) => close(descriptor, done))),
    ];
    const failed = (await Promise.allSettled(attempts)).find(({ status }) => status === 'rejected');
    return { id, obstacle: failed === undefined ? null : ((failed as PromiseRejectedResult).reason as Error) };
  },
  async syncDirectory(path) {
    const descriptor = await openDescriptor(path, constants.O_RDONLY);
    try {
      await settled((done) => fsync(descriptor, done));
    } finally {
      await settled((done) => close(descriptor, done));
    }
  },
};

async function openFile(path: string, flags: number): Promise<LogFile> {
  const descriptor = await openDescriptor(path, flags);
  return {
    write: (parts, position) => writeParts(descriptor, parts, position),
    dataSync: () => settled((done) => fdatasync(descriptor, done)),
    truncate: (bytes) => settled((done) => ftruncate(descriptor, bytes, done)),
    close: () => settled((done) => close(descriptor, done)),
  };
}

/**
 * A new file that is found at its path as long as its syncs succeed. `syncFlag` is the flag by which a write syncs what it writes, or 0
 * where a sync is a call of its own.
 */
export async function createFile(path: string, syncFlag: number): Promise<LogFile> {
  const descriptor = await openDescriptor(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | syncFlag);
  const watch = await watchPath(path, descriptor);
  let watched: Promise<unknown> | null = null;
  let hasUnsynced = false;
  let syncError: unknown = null;
  return {
    async write(parts, position) {
      // More than one call of the system takes would be synced as often.
      const writing = writeParts(descriptor, parts.length > PARTS_MAX ? [Buffer.concat(parts)] : parts, position);
      if (syncFlag === 0) {
        hasUnsynced = true;
        return writing;
      }
      // Side by side: the look takes no time of its own.
      watched = failureOf(watch());
      let written = 0;
      let failure: unknown = null;
      try {
        written = await writing;
      } catch (error) {
        failure = error;
      }
      const length = parts.reduce((bytes, part) => bytes + part.length, 0);
      if (written === length) return written;
      if (await isTaken(descriptor, Buffer.concat(parts).subarray(written), position + written)) {
        // That what was taken is not on the disk is for the sync to say.
        syncError ??= failure ?? new Error(`Cannot sync ${path}: ${written} of ${length} bytes are on the disk`);
        return length;
      }
      if (failure !== null) throw failure;
      return written;
    },
    async dataSync() {
      if (syncError !== null) throw syncError;
      const synced = hasUnsynced ? settled((done) => fdatasync(descriptor, done)) : null;
      watched ??= failureOf(watch());
      // Both are waited for, as the file may be closed next.
      const failures = [await failureOf(synced ?? Promise.resolve()), await watched];
      watched = null;
      const failure = failures.find((each) => each !== null) ?? null;
      if (failure !== null) throw failure;
      hasUnsynced = false;
    },
    async truncate(bytes) {
      hasUnsynced = true;
      await settled((done) => ftruncate(descriptor, bytes, done));
    },
    close: () => settled((done) => close(descriptor, done)),
  };
}

function writeParts(descriptor: number, parts: readonly Uint8Array[], position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    writev(descriptor, parts, position, (error, bytes) => {
      if (error === null) resolve(bytes);
      else reject(error);
    });
  });
}

/** Whether what a write did not sync is in the file, as processes see it, by its first bytes. A file that cannot be read counts as changed. */
async function isTaken(descriptor: number, data: Buffer, position: number): Promise<boolean> {
  const head = data.subarray(0, TAKEN_HEAD_BYTES);
  const found = Buffer.alloc(head.length);
  const bytes = await new Promise<number>((resolve) => {
    read(descriptor, found, 0, found.length, position, (error, bytesRead) => resolve(error === null ? bytesRead : -1));
  });
  return bytes === -1 || (bytes === found.length && found.equals(head));
}

/** What a promise is rejected with, or null. */
async function failureOf(promise: Promise<void>): Promise<unknown> {
  try {
    await promise;
    return null;
  } catch (error) {
    return error;
  }
}

/**
 * Remembers where an open file is; the function returned rejects once it is not there any more. What is written to a file that was
 * removed, or moved with its directory, is found by nobody.
 */
async function watchPath(path: string, descriptor: number): Promise<() => Promise<void>> {
  const id = identityOf(await statsOf((done) => fstat(descriptor, done)));
  const place = placeOf(descriptor);
  return async () => {
    // Linux says it from memory. A stat looks at the file's times, and makes the next write store them anew: a quarter of a small sync.
    if (place !== null && placeOf(descriptor) === place) return;
    if (identityOf(await statsOf((done) => stat(path, done))) !== id) {
      throw new Error(`Cannot write to ${path}: another file is there now`);
    }
  };
}

/** The path of an open file as it is now, in the words of the system; null where it does not tell. */
function placeOf(descriptor: number): string | null {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return null;
  }
}

function identityOf({ dev, ino }: Stats): string {
  return `${dev}:${ino}`;
}

function statsOf(start: (done: (error: Error | null, stats: Stats) => void) => void): Promise<Stats> {
  return new Promise((resolve, reject) => {
    start((error, stats) => {
      if (error === null) resolve(stats);
      else reject(error);
    });
  });
}

function openDescriptor(path: string, flags: number): Promise<number> {
  return new Promise((resolve, reject) => {
    open(path, flags, 0o640, (error, descriptor) => {
      if (error === null) resolve(descriptor);
      else reject(error);
    });
  });
}

function settled(start: (done: (error: Error | null | undefined) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => {
      if (error === null || error === undefined) resolve();
      else reject(error);
    });
  });
}
