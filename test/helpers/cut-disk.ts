/**
 * A disk that can lose power: a file system on a loop device, whose image is copied as it is at one moment. What the mounted file
 * system has not written out by then is lost in the copy. The image lies on a file system of its own, and that one is frozen while it
 * is copied: writes of the disk wait, wherever they are, so that also a sync that is half done is cut in two. Nothing freezes or flushes
 * the file system that is cut. A cache of the device itself is not modelled: what was written through is kept.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** File systems that are cut, by name: how to make one, and how to mount it. `copy` options are added for its copy. */
const FILE_SYSTEMS = {
  ext4: { make: ['mkfs.ext4', '-q', '-F'], mount: [], copy: [] },
  // Names are journaled, data is not written before them: blocks of an unsynced end hold what was in them before.
  'ext4 data=writeback': {
    make: ['mkfs.ext4', '-q', '-F'],
    mount: ['data=writeback', 'nodelalloc', 'dioread_lock'],
    copy: [],
  },
  xfs: { make: ['mkfs.xfs', '-q', '-f'], mount: [], copy: ['nouuid'] },
} as const;

export type CutFileSystem = keyof typeof FILE_SYSTEMS;
export const CUT_FILE_SYSTEMS = Object.keys(FILE_SYSTEMS) as CutFileSystem[];

/** Sparse. A server keeps 256 MB free, and XFS wants 300 MB. */
const IMAGE_BYTES = 640 * 1024 * 1024;
const OUTER_BYTES = 2 * IMAGE_BYTES;
/** The image and a copy of it, as far as they are filled. */
const TMPFS_BYTES = 3 * IMAGE_BYTES;
const PREFIX = 'treasury-power-cut-';
/** Turns of the event loop in which everything that was sent before the cut arrives. */
const DRAIN_TURNS = 20;

interface Testing {
  after(fn: () => unknown): void;
  skip(reason: string): void;
}

export interface CutDisk {
  /** Where the disk is mounted. */
  readonly path: string;
  /**
   * Cuts the power of a copy; whoever writes goes on afterwards. `onCut` is called while nothing can be written: what was acknowledged
   * by then has to be in the copy.
   */
  cut(onCut?: () => void): Promise<DiskCopy>;
}

export interface DiskCopy {
  /** Where the copy is mounted, its journal replayed. */
  readonly path: string;
  discard(): void;
}

/** Makes and mounts a disk, gone when the test ends. Null, and the test skipped, where the machine cannot. */
export function openCutDisk(t: Testing, kind: CutFileSystem): CutDisk | null {
  removeLeftovers();
  const { make, mount, copy } = FILE_SYSTEMS[kind];
  const root = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
  t.after(() => remove(root));
  const outer = join(root, 'outer');
  const path = join(root, 'disk');
  const image = join(outer, 'image');
  try {
    // In memory: what a sync costs is not what is looked at.
    run(['mount', '-t', 'tmpfs', '-o', `size=${TMPFS_BYTES}`, 'tmpfs', root]);
    for (const folder of [outer, path]) mkdirSync(folder);
    createSparse(join(root, 'outer-image'), OUTER_BYTES);
    run(['mkfs.ext4', '-q', '-F', '-O', '^has_journal', join(root, 'outer-image')]);
    mountLoop(join(root, 'outer-image'), outer, ['noatime']);
    createSparse(image, IMAGE_BYTES);
    run([...make, image]);
    mountLoop(image, path, mount);
  } catch (error) {
    t.skip(`this machine mounts no ${kind} image: ${(error as Error).message}`);
    return null;
  }
  let copies = 0;
  return {
    path,
    async cut(onCut = () => {}) {
      const folder = join(root, `copy-${copies++}`);
      mkdirSync(folder);
      const target = `${folder}.image`;
      await copyFrozen({ outer, image, target, onCut });
      mountLoop(target, folder, [...mount, ...copy]);
      return {
        path: folder,
        discard() {
          run(['umount', folder]);
          rmSync(target);
        },
      };
    },
  };
}

/** Thaws by itself when this process dies: the script then reads the end of its input. */
const COPY_SCRIPT = `fsfreeze -f "$1" || exit 1
cp --sparse=auto "$2" "$3"; copied=$?
echo copied
read -r go
fsfreeze -u "$1" && exit $copied`;

async function copyFrozen(paths: { outer: string; image: string; target: string; onCut: () => void }): Promise<void> {
  const { outer, image, target, onCut } = paths;
  const script = spawn('sh', ['-c', COPY_SCRIPT, 'sh', outer, image, target], { stdio: ['pipe', 'pipe', 'pipe'] });
  const closed = once(script, 'close') as Promise<[number | null]>;
  let errors = '';
  script.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  script.stdin.on('error', () => {});
  await Promise.race([once(script.stdout, 'data'), closed]);
  for (let turn = 0; turn < DRAIN_TURNS; turn++) await nextTurn();
  try {
    onCut();
  } finally {
    script.stdin.end('\n');
    script.stdout.resume();
  }
  const [code] = await closed;
  if (code !== 0) throw new Error(`Cannot copy the disk: ${errors.trim()}`);
}

function createSparse(path: string, bytes: number): void {
  writeFileSync(path, '');
  truncateSync(path, bytes);
}

function mountLoop(image: string, folder: string, options: readonly string[]): void {
  run(['mount', '-o', ['loop', ...options].join(','), image, folder]);
}

function run([command, ...parameters]: readonly string[]): void {
  const { status, error, stderr } = spawnSync(command!, parameters, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} failed: ${(error?.message ?? stderr).trim()}`);
}

/** Of tests that were killed. */
function removeLeftovers(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = name.startsWith(PREFIX) ? Number.parseInt(name.slice(PREFIX.length), 10) : Number.NaN;
    if (!Number.isNaN(pid) && !isAlive(pid)) remove(join(tmpdir(), name));
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Ends who still uses the disks, thaws and unmounts what is mounted, innermost first; loop devices go with their mounts. */
function remove(root: string): void {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    if (commandLineOf(pid).includes(`${root}/`)) process.kill(Number(pid), 'SIGKILL');
  }
  spawnSync('fsfreeze', ['-u', join(root, 'outer')]);
  const mounted = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((path) => path === root || path.startsWith(`${root}/`));
  for (const path of mounted.toReversed()) {
    if (spawnSync('umount', [path]).status !== 0) spawnSync('umount', ['-l', path]);
  }
  rmSync(root, { recursive: true, force: true });
}

/** Of a process that works on a disk: its arguments name the data directory. Empty when it is gone. */
function commandLineOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
