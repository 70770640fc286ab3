/**
 * Goal: a segment that is not where or what it was costs its own entries and no others (row 5 of the fault tests).
 * Method: a log of ten segments with two frames each. All pairs of six kinds of damage, and each kind alone, on two of its segments, with
 * and without the index; opened twice. Two of them before a real server.
 * Invariant: what is served was written, and all that was not misplaced is; `verify` names the segment; lost offsets are a gap and are
 * not given out again; no file of a segment is changed or deleted. A foreign one is refused by name, at every start.
 * Damage of the last segment is in test/log/lost-ends.test.ts; what `verify` says of each kind in test/commands/log-verify.test.ts.
 */
import assert from 'node:assert/strict';
import {
  copyFileSync,
  cpSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openLog, verifyLog } from '../../src/log/index.ts';
import { segmentFileName, segmentPath } from '../../src/log/layout.ts';
import { SEGMENT_HEADER_BYTES } from '../../src/log/segment-header.ts';
import { runTreasury, startServer } from '../commands/process.ts';
import { readAll, scratch } from '../log/log-helpers.ts';

const SEGMENTS = 10;
const ENTRIES = 2 * SEGMENTS;

interface Kind {
  /** Does it to the segment at base offset `base`, of two entries; `other` is the directory of another log. */
  readonly act: (directory: string, base: bigint, other: string) => void;
  /** Entries lost, counted from `base`. */
  readonly lost: readonly number[];
  readonly found: RegExp;
}

const KINDS: Readonly<Record<string, Kind>> = {
  missing: { act: (directory, base) => rmSync(segmentPath(directory, base)), lost: [0, 1], found: /are missing/ },
  swapped: {
    act(directory, base) {
      renameSync(segmentPath(directory, base), join(directory, 'aside'));
      renameSync(segmentPath(directory, base + 2n), segmentPath(directory, base));
      renameSync(join(directory, 'aside'), segmentPath(directory, base + 2n));
    },
    lost: [0, 1, 2, 3],
    found: /file is named \d+ and its header says \d+/,
  },
  foreign: {
    act: (directory, base, other) => copyFileSync(segmentPath(other, base), segmentPath(directory, base)),
    lost: [],
    found: /belongs to log/,
  },
  duplicate: {
    act: (directory, base) => copyFileSync(segmentPath(directory, base), segmentPath(directory, base + 1n)),
    lost: [],
    found: /file is named \d+ and its header says \d+/,
  },
  'cut to its header': {
    act: (directory, base) => truncateSync(segmentPath(directory, base), SEGMENT_HEADER_BYTES),
    lost: [0, 1],
    found: /are missing/,
  },
  'an older copy': {
    act(directory, base) {
      const path = segmentPath(directory, base);
      truncateSync(path, (readFileSync(path).length - 8 + SEGMENT_HEADER_BYTES) / 2);
    },
    lost: [1],
    found: /are missing/,
  },
};

async function makeLog(directory: string): Promise<void> {
  for (let i = 0; i < ENTRIES; i += 2) {
    const log = await openLog({ directory });
    for (const j of [i, i + 1]) await log.appendOtlp(1, { batchId: 0n, record: [Buffer.from(`|entry ${j}`)] });
    await log.close();
  }
  assert.equal(segmentsOf(directory).size, SEGMENTS);
}

function segmentsOf(directory: string): Map<string, string> {
  const names = readdirSync(directory).filter((name) => name.endsWith('.arrows'));
  return new Map(names.map((name) => [name, readFileSync(join(directory, name)).toString('latin1')]));
}

test('every pair of misplaced segments costs their entries only', async (t) => {
  const [good, other] = [scratch(t), scratch(t)];
  await makeLog(good);
  await makeLog(other);
  const names = Object.keys(KINDS);
  const pairs = names.flatMap((first) => [[first], ...names.map((second) => [first, second])]);
  for (const pair of pairs) {
    for (const hasIndex of [true, false]) {
      const directory = join(scratch(t), 'log');
      cpSync(good, directory, { recursive: true });
      const lost = pair.flatMap((name, i) => {
        const base = [4, 12][i]!;
        KINDS[name]!.act(directory, BigInt(base), other);
        return KINDS[name]!.lost.map((entry) => base + entry);
      });
      if (!hasIndex) rmSync(join(directory, 'index.sqlite'));
      const place = `${pair.join(' and ')}, ${hasIndex ? 'with' : 'without'} an index`;
      const messages = verifyLog(directory).map(({ segment, message }) => `${segment} ${message}`);
      for (const name of pair) {
        assert.ok(
          messages.some((message) => KINDS[name]!.found.test(message)),
          `${place}: verify does not tell ${name}`,
        );
      }
      const before = segmentsOf(directory);
      if (pair.includes('foreign')) {
        const name = segmentFileName(pair[0] === 'foreign' ? 4n : 12n);
        for (let start = 0; start < 2; start++) {
          await assert.rejects(
            openLog({ directory }),
            { code: 'TREASURY_LOG_CORRUPT', message: new RegExp(name) },
            place,
          );
        }
        assert.deepEqual(segmentsOf(directory), before, place);
        continue;
      }
      await assertServed(directory, lost, place);
      for (const [name, bytes] of before)
        assert.equal(segmentsOf(directory).get(name), bytes, `${place}: ${name} was changed`);
    }
  }
});

async function assertServed(directory: string, lost: readonly number[], place: string): Promise<void> {
  for (let next = ENTRIES; next < ENTRIES + 2; next++) {
    const log = await openLog({ directory });
    assert.equal(
      (await log.appendOtlp(1, { batchId: 0n, record: [Buffer.from(`|entry ${next}`)] })).offset,
      BigInt(next),
      place,
    );
    const expected = Array.from({ length: next + 1 }, (_, i) => i).filter((i) => !lost.includes(i));
    assert.deepEqual(
      readAll(log, directory).map(({ offset, record }) => `${offset} ${Buffer.from(record).toString()}`),
      expected.map((i) => `${i} |entry ${i}`),
      place,
    );
    const gaps = log
      .status()
      .gaps.flatMap(({ from, to }) => Array.from({ length: Number(to - from) }, (_, i) => Number(from) + i));
    assert.deepEqual(gaps, lost, place);
    await log.close();
  }
}

test('server refuses a foreign segment by name, and serves beside swapped ones', async (t) => {
  const [data, otherData] = [scratch(t), scratch(t)];
  const [directory, other] = [join(data, 'log'), join(otherData, 'log')];
  await makeLog(directory);
  await makeLog(other);
  const own = readFileSync(segmentPath(directory, 6n));
  KINDS['foreign']!.act(directory, 6n, other);
  const before = segmentsOf(directory);
  const { code, stderr } = await runTreasury(['serve', '--data', data, ...PORTS]);
  assert.equal(code, 1, stderr);
  assert.match(stderr, new RegExp(`segment ${segmentFileName(6n)} belongs to log [0-9a-f-]+, the others to`));
  assert.deepEqual(segmentsOf(directory), before);
  writeFileSync(segmentPath(directory, 6n), own);
  KINDS['swapped']!.act(directory, 6n, other);
  const server = await startServer(t, data);
  const metrics = await (await fetch(`${server.http}/metrics`)).text();
  assert.match(metrics, /^treasury_log_quarantined_ranges\S* [1-9]/m);
  server.child.kill('SIGTERM');
  const ended = await server.finished;
  assert.equal(ended.code, 0);
  assert.match(ended.stderr, new RegExp(`Log segment is damaged.*${segmentFileName(6n)}`));
});

const PORTS = ['--grpc', '--otlp-http', '--http'].flatMap((flag) => [flag, '127.0.0.1:0']);
