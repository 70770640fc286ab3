/** The index of a simulated log: real SQLite files, and what crashes and operators make of them. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { openSegmentIndex, type SegmentIndex } from '../../../src/log/segment-index.ts';
import { openSqlite } from '../../../src/log/sqlite.ts';
import type { Random } from '../../helpers/random.ts';

/** The files of an index by suffix. */
type Image = ReadonlyMap<string, Buffer>;

const SUFFIXES = ['', '-wal', '-shm'];
const PAGE_BYTES = 4_096;
const IMAGES_MAX = 4;

export class SimulatedIndex {
  /** The one that the log uses. */
  current: SegmentIndex | null = null;
  readonly #path: string;
  #images: Image[] = [];
  #durable: Image | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  /** For the log to open its index with. */
  readonly open = (path: string): SegmentIndex => {
    const index = openSegmentIndex(path);
    this.current = {
      ...index,
      // What it writes there is on the disk.
      markChanging: () => {
        index.markChanging();
        this.#durable = this.#read();
      },
      close: (options) => {
        this.current = null;
        index.close(options);
      },
    };
    return this.current;
  };

  /** Keeps a copy, for `becomeOlder`. */
  remember(): void {
    this.#images = [...this.#images, this.#read()].slice(-IMAGES_MAX);
  }

  /** Its process is gone: what SQLite has written stays. */
  crash(): void {
    if (this.current === null) return;
    const image = this.#read();
    this.current.close({ clean: false });
    this.#write(image);
  }

  /** The machine was started anew. */
  reboot(): void {
    this.#change("UPDATE meta SET value = 'another boot' WHERE key = 'boot_id'");
  }

  lose(): void {
    this.#write(new Map());
  }

  becomeOlder(random: Random): void {
    if (this.#images.length > 0) this.#write(random.pick(this.#images));
  }

  /** Claims more entries than there are. */
  runAhead(random: Random): void {
    const entries = 1 + random.below(20);
    if (random.below(2) === 0) {
      this.#change(`UPDATE meta SET value = value + ${entries} WHERE key LIKE 'kept_end %'`);
    } else {
      this.#change(
        `INSERT INTO frames SELECT base_offset + "rows", segment, position + bytes, bytes, ${entries}, 1, 1, 1, 1 FROM frames ORDER BY base_offset DESC LIMIT 1`,
      );
    }
  }

  /** What a power cut may leave of what was written since the index was marked as open: pages of two times, or a part. */
  garble(random: Random): void {
    const now = this.#read();
    const before = this.#durable ?? now;
    const main = Buffer.from(now.get('') ?? Buffer.alloc(0));
    const old = before.get('') ?? Buffer.alloc(0);
    const mix = random.below(3);
    for (let page = 0; page < main.length; page += PAGE_BYTES) {
      const version = random.below(3);
      if (mix < 2 && version === 0) old.subarray(page, page + PAGE_BYTES).copy(main, page);
      if (mix === 1 && version === 1 && random.below(4) === 0) main.fill(0, page, page + PAGE_BYTES);
    }
    const wal = random.pick([now.get('-wal'), before.get('-wal'), undefined]);
    const cut = (bytes: Buffer) => bytes.subarray(0, mix === 2 ? random.below(bytes.length + 1) : bytes.length);
    this.#write(new Map([['', cut(main)], ...(wal === undefined ? [] : [['-wal', cut(wal)] as const])]));
    this.reboot();
  }

  #change(sql: string): void {
    if (!existsSync(this.#path)) return;
    const database = openSqlite(this.#path);
    try {
      database.exec(sql);
    } catch {
      // Killed before its tables were made.
    } finally {
      database.close();
    }
  }

  #read(): Image {
    const files = SUFFIXES.filter((suffix) => existsSync(this.#path + suffix));
    return new Map(files.map((suffix) => [suffix, readFileSync(this.#path + suffix)]));
  }

  #write(image: Image): void {
    for (const suffix of SUFFIXES) rmSync(this.#path + suffix, { force: true });
    for (const [suffix, bytes] of image) writeFileSync(this.#path + suffix, bytes);
  }
}
