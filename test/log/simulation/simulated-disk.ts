/**
 * A disk in memory for one log at a time. Everything that the log writes or reads goes through `mount()`, which stands for one process.
 * Operations take time, fail and fail half done as the weather says; what is not synced is lost or kept at a power cut, by sectors and
 * by names. Everything random comes from the seed.
 */
import { basename, dirname } from 'node:path';
import type { LogFile, LogFileSystem, LogReadFile } from '../../../src/log/index.ts';
import type { Random } from '../../helpers/random.ts';
import { SimulatedInode, type Survival } from './simulated-inode.ts';
import { type SimulatedTime, turn } from './simulated-time.ts';

export type DiskOperation =
  | 'create'
  | 'openForWriting'
  | 'openForReading'
  | 'list'
  | 'read'
  | 'write'
  | 'dataSync'
  | 'truncate'
  | 'close'
  | 'remove'
  | 'rename'
  | 'syncDirectory';

/** What the disk does to those who use it. */
export interface Weather {
  readonly name: string;
  /** Probability that an operation fails. */
  readonly faults: Partial<Record<DiskOperation, number>>;
  /** Bytes of all files together that fit, beyond those there when the weather began; null: no end. */
  readonly roomBytes: number | null;
  /** Whether the disk says how little room there is; quotas are not told. */
  readonly tellsRoom: boolean;
  /** Turns of the event loop that an operation takes at most, before its effect and after it. */
  readonly latencyTurns: number;
  /** Probability that an operation also waits for time to pass, up to `slowMs`. */
  readonly slowRate: number;
  readonly slowMs: number;
}

export const FAIR: Weather = {
  name: 'fair',
  faults: {},
  roomBytes: null,
  tellsRoom: true,
  latencyTurns: 2,
  slowRate: 0,
  slowMs: 0,
};

const ENDLESS_BYTES = 2 ** 50;
/** Nobody reads the file that tries whether a disk is well, and it is large. */
const PROBE_SECTOR_BYTES = 65_536;

/** A change of names in a directory that is not synced. */
interface NameChange {
  readonly directories: readonly string[];
  readonly apply: (names: Map<string, SimulatedInode>, folders: Set<string>) => void;
}

/** A process that uses the disk. */
interface DiskUser {
  isDead: boolean;
  /** Removals and syncs of directories under way. */
  removing: number;
  /** Files with a frame that is written and not synced. */
  readonly unsynced: Set<SimulatedInode>;
}

/** How an operation goes: `lie` takes effect and fails, `short` takes part of a write. */
type Outcome = 'well' | 'fail' | 'lie' | 'short';

interface Options {
  readonly random: Random;
  readonly time: SimulatedTime;
  readonly sectorBytes: number;
  /** Directories that were there before. */
  readonly root: string;
}

export class SimulatedDisk {
  weather: Weather = FAIR;
  /** What happened, without anything that differs between two runs of a seed. */
  readonly trace: string[] = [];
  /** Told of a file that a process is about to remove. */
  onRemove: (path: string) => void = () => {};
  /** What the log must never do to a disk. */
  readonly violations: string[] = [];
  /** What ends the waiting of operations under way. */
  readonly #slowOnes = new Set<() => void>();
  readonly #options: Options;
  #names = new Map<string, SimulatedInode>();
  #durableNames = new Map<string, SimulatedInode>();
  #folders = new Set<string>();
  #durableFolders = new Set<string>();
  #pending: NameChange[] = [];
  #process: DiskUser = { isDead: true, removing: 0, unsynced: new Set() };
  #roomEnd = Number.POSITIVE_INFINITY;
  readonly #lossy = new Set<SimulatedInode>();

  constructor(options: Options) {
    this.#options = options;
    this.#folders.add(options.root);
    this.#durableFolders.add(options.root);
  }

  setWeather(weather: Weather): void {
    this.weather = weather;
    // A disk that is well finishes what it was slow to do.
    if (weather.slowRate === 0) for (const finish of this.#slowOnes) finish();
    this.#roomEnd = weather.roomBytes === null ? Number.POSITIVE_INFINITY : this.#usedBytes() + weather.roomBytes;
  }

  /** Whether a removal may be under way: it is not over before its directory is synced. */
  get isRemoving(): boolean {
    return this.#process.removing > 0;
  }

  /** Runs something that cannot fail: what a test looks at. */
  calmly<Result>(look: () => Result): Result {
    const { weather } = this;
    this.weather = FAIR;
    try {
      return look();
    } finally {
      this.weather = weather;
    }
  }

  /** Removes a file as an operator does whose shell is not part of the simulation: at once and for good. */
  removeForGood(path: string): void {
    this.#names.delete(path);
    this.#durableNames.delete(path);
    this.#pending.push({ directories: [dirname(path)], apply: (names) => names.delete(path) });
  }

  /** Ends the process: what it wrote stays, what it was about to do does not happen. */
  kill(): void {
    this.#process.isDead = true;
    const { random } = this.#options;
    for (const inode of this.#lossy) if (random.below(2) === 0) inode.evict();
    this.#lossy.clear();
  }

  /** Ends the process and the machine's memory: unsynced sectors, sizes and names are there or not. */
  cutPower(): void {
    this.#process.isDead = true;
    const { random } = this.#options;
    const survival: Survival = random.pick(['none', 'all', 'prefix', 'any', 'any']);
    const inodes = new Set([...this.#names.values(), ...this.#durableNames.values()]);
    const kept = this.#survivingChanges(random.pick(['none', 'all', 'prefix', 'any']));
    for (const { apply } of kept) apply(this.#durableNames, this.#durableFolders);
    for (const inode of this.#durableNames.values()) inodes.add(inode);
    for (const inode of inodes) inode.powerCut(random, survival);
    for (const path of this.#durableNames.keys()) {
      if (!this.#isReachable(dirname(path))) this.#durableNames.delete(path);
    }
    for (const folder of this.#durableFolders) if (!this.#isReachable(folder)) this.#durableFolders.delete(folder);
    this.#names = new Map(this.#durableNames);
    this.#folders = new Set(this.#durableFolders);
    this.#pending = [];
    this.#lossy.clear();
    this.#trace('power cut', `${survival}, names: ${kept.length} changes kept`);
  }

  /** The file system as a new process sees it. There is one process at a time. */
  mount(): LogFileSystem {
    const process: DiskUser = { isDead: false, removing: 0, unsynced: new Set() };
    this.#process = process;
    const alive = () => {
      if (process.isDead) throw errno('EIO', 'the process is gone');
    };
    return {
      makeDirectory: (path) => {
        alive();
        this.#makeDirectory(path);
      },
      list: (directory) => {
        alive();
        this.#fault('list', directory);
        if (!this.#folders.has(directory)) throw errno('ENOENT', `no directory ${directory}`);
        return [...this.#names.keys()].filter((path) => dirname(path) === directory).map((path) => basename(path));
      },
      create: async (path) => {
        const file = await this.#change(process, 'create', path, () => {
          if (this.#names.has(path)) throw errno('EEXIST', path);
          if (!this.#folders.has(dirname(path))) throw errno('ENOENT', path);
          const isProbe = basename(path) === 'probe';
          const inode = new SimulatedInode(isProbe ? PROBE_SECTOR_BYTES : this.#options.sectorBytes);
          this.#rename(dirname(path), dirname(path), (names) => names.set(path, inode));
          return inode;
        });
        return this.#openFile(process, path, file);
      },
      openForWriting: async (path) => {
        const inode = await this.#change(process, 'openForWriting', path, () => this.#inode(path));
        return this.#openFile(process, path, inode);
      },
      openForReading: (path) => {
        alive();
        this.#fault('openForReading', path);
        return this.#readFile(path, this.#inode(path));
      },
      remove: (path) => {
        this.onRemove(path);
        return this.#change(process, 'remove', path, () => {
          this.#inode(path);
          this.#rename(dirname(path), dirname(path), (names) => names.delete(path));
        });
      },
      rename: (from, to) =>
        this.#change(process, 'rename', from, () => {
          const inode = this.#inode(from);
          this.#rename(dirname(from), dirname(to), (names) => {
            names.delete(from);
            names.set(to, inode);
          });
        }),
      freeBytes: async () => {
        if (!this.weather.tellsRoom || this.#roomEnd === Number.POSITIVE_INFINITY) return ENDLESS_BYTES;
        return Math.max(0, this.#roomEnd - this.#usedBytes());
      },
      inspectDirectory: async (path) => {
        if (!this.#folders.has(path)) throw errno('ENOENT', `no directory ${path}`);
        return { id: path, obstacle: null };
      },
      syncDirectory: (path) =>
        this.#change(process, 'syncDirectory', path, () => {
          const isOfPath = (change: NameChange) => change.directories.includes(path);
          for (const { apply } of this.#pending.filter(isOfPath)) apply(this.#durableNames, this.#durableFolders);
          this.#pending = this.#pending.filter((change) => !isOfPath(change));
        }),
    };
  }

  #openFile(process: DiskUser, path: string, inode: SimulatedInode): LogFile {
    let hasFailedSync = false;
    let isClosed = false;
    const use = (what: string) => {
      if (isClosed) this.violations.push(`${what} after close of ${basename(path)}`);
    };
    return {
      write: async (parts, position) => {
        use('write');
        const isFrame = path.endsWith('.arrows') && position > 0 && parts.length > 1;
        if (isFrame && process.unsynced.size > 0) this.violations.push(`two frames are not synced: ${basename(path)}`);
        if (isFrame) process.unsynced.add(inode);
        return this.#write(process, inode, path, Buffer.concat(parts), position);
      },
      dataSync: async () => {
        use('dataSync');
        if (hasFailedSync) this.violations.push(`synced again after a failed sync: ${basename(path)}`);
        try {
          await this.#sync(process, inode, path);
        } catch (error) {
          hasFailedSync = true;
          throw error;
        } finally {
          process.unsynced.delete(inode);
        }
      },
      truncate: async (bytes) => {
        use('truncate');
        try {
          await this.#change(process, 'truncate', `${path} to ${bytes}`, () => inode.truncate(bytes));
        } finally {
          process.unsynced.delete(inode);
        }
      },
      close: async () => {
        use('close');
        isClosed = true;
        await this.#change(process, 'close', path, () => {});
      },
    };
  }

  /** In pieces, so that a process may end between them. */
  async #write(
    process: DiskUser,
    inode: SimulatedInode,
    path: string,
    bytes: Buffer,
    position: number,
  ): Promise<number> {
    const { random } = this.#options;
    await this.#pass(process);
    const outcome = this.#outcome('write');
    const room = this.#roomEnd - this.#usedBytes() + Math.max(0, inode.cache.length - position);
    const wanted = outcome === 'well' || outcome === 'lie' ? bytes.length : random.below(bytes.length + 1);
    const taken = Math.max(0, Math.min(wanted, room));
    const half = random.below(taken + 1);
    if (half > 0) inode.write(position, bytes.subarray(0, half));
    await this.#pass(process);
    if (taken > half) inode.write(position + half, bytes.subarray(half, taken));
    const isRefused = outcome === 'fail' || outcome === 'lie' || (taken === 0 && bytes.length > 0);
    this.#trace('write', `${basename(path)} ${position}+${taken}/${bytes.length} ${isRefused ? 'fails' : ''}`);
    await this.#pass(process);
    if (isRefused) throw errno(outcome === 'well' || outcome === 'short' ? 'ENOSPC' : 'EIO', 'write');
    return taken;
  }

  async #sync(process: DiskUser, inode: SimulatedInode, path: string): Promise<void> {
    await this.#pass(process);
    const outcome = this.#outcome('dataSync');
    const hasFailed = outcome !== 'well';
    if (!hasFailed || outcome === 'lie') {
      inode.sync(this.#options.random);
    } else {
      inode.failSync(this.#options.random);
      this.#lossy.add(inode);
    }
    this.#trace('dataSync', `${basename(path)} ${hasFailed ? outcome : ''}`);
    await this.#pass(process);
    if (hasFailed) throw errno('EIO', 'dataSync');
  }

  #readFile(path: string, inode: SimulatedInode): LogReadFile {
    return {
      read: (buffer, position) => {
        this.#fault('read', path);
        return copyTo(inode.cache.subarray(position), buffer);
      },
      size: () => inode.cache.length,
      close() {},
    };
  }

  #makeDirectory(path: string): void {
    if (this.#folders.has(path)) return;
    this.#makeDirectory(dirname(path));
    this.#rename(dirname(path), dirname(path), (_names, folders) => folders.add(path));
  }

  /** Changes names now, and for good once one of the directories is synced. */
  #rename(from: string, to: string, apply: NameChange['apply']): void {
    apply(this.#names, this.#folders);
    this.#pending.push({ directories: [from, to], apply });
  }

  #inode(path: string): SimulatedInode {
    const inode = this.#names.get(path);
    if (inode === undefined) throw errno('ENOENT', path);
    return inode;
  }

  async #change<Result>(
    process: DiskUser,
    operation: DiskOperation,
    path: string,
    change: () => Result,
  ): Promise<Result> {
    const isRemoval = operation === 'remove' || operation === 'syncDirectory';
    if (isRemoval) process.removing++;
    try {
      return await this.#changeNow(process, operation, path, change);
    } finally {
      if (isRemoval) process.removing--;
    }
  }

  async #changeNow<Result>(
    process: DiskUser,
    operation: DiskOperation,
    path: string,
    change: () => Result,
  ): Promise<Result> {
    await this.#pass(process);
    const outcome = this.#outcome(operation);
    this.#trace(operation, `${basename(path)} ${outcome === 'well' ? '' : outcome}`);
    if (outcome === 'fail' || outcome === 'short') throw errno(operation === 'create' ? 'EMFILE' : 'EIO', operation);
    const result = change();
    await this.#pass(process);
    if (outcome === 'lie') throw errno('EIO', operation);
    return result;
  }

  /** Lets an operation take its time. It never ends when its process is gone. */
  async #pass(process: DiskUser): Promise<void> {
    const { random, time } = this.#options;
    for (let turns = random.below(this.weather.latencyTurns + 1); turns > 0; turns--) await turn();
    const { slowRate, slowMs } = this.weather;
    if (slowRate > 0 && random.next() < slowRate) {
      let finish = () => {};
      const finished = new Promise<void>((resolve) => {
        finish = resolve;
      });
      this.#slowOnes.add(finish);
      await Promise.race([time.wait(1 + random.below(slowMs)), finished]);
      this.#slowOnes.delete(finish);
    }
    if (process.isDead) await new Promise<never>(() => {});
  }

  #outcome(operation: DiskOperation): Outcome {
    const { random } = this.#options;
    const rate = this.weather.faults[operation] ?? 0;
    if (rate === 0 || random.next() >= rate) return 'well';
    return random.pick(['fail', 'fail', 'lie', 'short']);
  }

  #fault(operation: DiskOperation, path: string): void {
    if (this.#outcome(operation) === 'well') return;
    this.#trace(operation, `${basename(path)} fails`);
    throw errno(operation === 'openForReading' || operation === 'list' ? 'EMFILE' : 'EIO', operation);
  }

  #survivingChanges(survival: Survival): NameChange[] {
    const { random } = this.#options;
    if (survival === 'none') return [];
    if (survival === 'all') return this.#pending;
    if (survival === 'any') return this.#pending.filter(() => random.below(2) === 0);
    return this.#pending.slice(0, random.below(this.#pending.length + 1));
  }

  #isReachable(folder: string): boolean {
    if (folder === this.#options.root) return true;
    return this.#durableFolders.has(folder) && this.#isReachable(dirname(folder));
  }

  #usedBytes(): number {
    let bytes = 0;
    for (const inode of this.#names.values()) bytes += inode.cache.length;
    return bytes;
  }

  #trace(operation: string, what: string): void {
    this.trace.push(`${operation} ${what}`.replace(basename(this.#options.root), 'root').trimEnd());
  }
}

/** Whether an error comes from the disk's weather, or from what the log made of it. */
export function isInjected(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return ('isInjected' in error && error.isInjected === true) || isInjected(error.cause);
}

function copyTo(from: Buffer, to: Uint8Array): number {
  return from.copy(to, 0, 0, Math.min(from.length, to.length));
}

function errno(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}, by the simulation`), { code, isInjected: true });
}
