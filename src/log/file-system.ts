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

/** The file system of the machine. */
export const realFileSystem: LogFileSystem = {
  makeDirectory(path) {
    makeDurableDirectory(path);
  },
  list(directory) {
    return readdirSync(directory);
  },
  create(path) {
    return openFile(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, { staysAtPath: true });
  },
  openForWriting(path) {
    return openFile(path, constants.O_RDWR, { staysAtPath: false });
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

async function openFile(path: string, flags: number, { staysAtPath }: { staysAtPath: boolean }): Promise<LogFile> {
  const descriptor = await openDescriptor(path, flags);
  const watch = staysAtPath ? await watchPath(path, descriptor) : null;
  return {
    write(parts, position) {
      return new Promise((resolve, reject) => {
        writev(descriptor, parts, position, (error, bytes) => {
          if (error === null) resolve(bytes);
          else reject(error);
        });
      });
    },
    async dataSync() {
      const synced = settled((done) => fdatasync(descriptor, done));
      if (watch === null) return synced;
      // Side by side: the look takes no time of its own. Both are waited for, as the file may be closed next.
      for (const attempt of await Promise.allSettled([synced, watch()])) {
        if (attempt.status === 'rejected') throw attempt.reason;
      }
    },
    truncate(bytes) {
      return settled((done) => ftruncate(descriptor, bytes, done));
    },
    close() {
      return settled((done) => close(descriptor, done));
    },
  };
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
