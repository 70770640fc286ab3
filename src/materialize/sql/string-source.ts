/**
 * Reads the strings of one vector. DuckDB keeps a string of up to 12 bytes inside its 16-byte entry and a longer one behind a pointer:
 * pointers close to each other are read as one run, so a vector of 2,048 strings costs about five native calls.
 */
import { duckdb } from '../duckdb.ts';
import type { OffsetsBuilder } from './offsets.ts';
import { isValid } from './validity.ts';

export interface StringSource {
  /** Bytes of all strings of the rows `start` to `start + count`. */
  bytesOf(start: number, count: number): number;
  /** Copies these rows to `target` from `at` on and pushes the end of each to `offsets`. Returns the end of the last. */
  copy(start: number, count: number, target: Buffer, at: number, offsets: OffsetsBuilder): number;
}

/** `entries` are the vector's string entries; entries of rows not in `validity` may be garbage and are never followed. */
export function createStringSource(entries: Uint8Array, validity: Uint8Array | null): StringSource {
  const words = new Uint32Array(entries.buffer, entries.byteOffset, entries.byteLength / 4);

  return {
    bytesOf(start, count) {
      let bytes = 0;
      for (let row = start; row < start + count; row++) {
        if (isValid(validity, row)) bytes += words[row * 4] as number;
      }
      return bytes;
    },

    copy(start, count, target, at, offsets) {
      const runs = readRuns(words, validity, start, count);
      let to = at;
      for (let row = start; row < start + count; row++) {
        if (isValid(validity, row)) {
          const length = words[row * 4] as number;
          if (length <= INLINE_BYTES_MAX) {
            const from = row * 16 + 4;
            for (let byte = 0; byte < length; byte++) target[to + byte] = entries[from + byte] as number;
          } else {
            const run = runs[runOfRow[row - start] as number] as Run;
            const from = pointerOf(words, row) - run.from;
            run.bytes.copy(target, to, from, from + length);
          }
          to += length;
        }
        offsets.push(to);
      }
      return to;
    },
  };
}

interface Run {
  from: number;
  to: number;
  bytes: Buffer;
}

const INLINE_BYTES_MAX = 12;
const TWO_POW_32 = 4_294_967_296;
/** A page: a run may span a gap only if both ends must lie on mapped pages. Reading across a larger gap has crashed the process. */
const RUN_GAP_BYTES_MAX = 4095;
/** One read of a run; strings of one block are far smaller. */
const RUN_BYTES_MAX = 64 * 1024 * 1024;

/** The run that each long string of the rows being copied belongs to. Reused: rows are copied synchronously. */
let runOfRow = new Uint32Array(2048);
const pointerCell = new BigUint64Array(1);
const NOTHING = Buffer.alloc(0);

function pointerOf(words: Uint32Array, row: number): number {
  return (words[row * 4 + 2] as number) + (words[row * 4 + 3] as number) * TWO_POW_32;
}

function readRuns(words: Uint32Array, validity: Uint8Array | null, start: number, count: number): Run[] {
  if (count > runOfRow.length) runOfRow = new Uint32Array(count * 2);
  const runs: Run[] = [];
  let run: Run | null = null;
  for (let row = start; row < start + count; row++) {
    const length = words[row * 4] as number;
    if (length <= INLINE_BYTES_MAX || !isValid(validity, row)) continue;
    const from = pointerOf(words, row);
    const to = from + length;
    if (run !== null && joins(run, from, to)) {
      run.from = Math.min(run.from, from);
      run.to = Math.max(run.to, to);
    } else {
      run = { from, to, bytes: NOTHING };
      runs.push(run);
    }
    runOfRow[row - start] = runs.length - 1;
  }
  for (const { from, to } of runs) checkPointer(from, to);
  for (const each of runs) each.bytes = readMemory(each.from, each.to - each.from);
  return runs;
}

function joins(run: Run, from: number, to: number): boolean {
  if (from > run.to + RUN_GAP_BYTES_MAX || to < run.from - RUN_GAP_BYTES_MAX) return false;
  return Math.max(run.to, to) - Math.min(run.from, from) <= RUN_BYTES_MAX;
}

function checkPointer(from: number, to: number): void {
  if (from === 0 || to > Number.MAX_SAFE_INTEGER) throw new RangeError(`Cannot read a string at address ${from}`);
}

function readMemory(address: number, bytes: number): Buffer {
  pointerCell[0] = BigInt(address);
  const data = duckdb.get_data_from_pointer(pointerCell.buffer, 0, bytes);
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}
