/**
 * Goal: `treasury log verify` names everything that can be wrong with a log, and where, and nothing that is right.
 * Method: logs on disk, one thing broken in each; the check itself with its decoder, and the real command.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import Sqlite from 'better-sqlite3';
import { SIGNAL_CODES } from '../../src/base/index.ts';
import { createDirectoryDecoder } from '../../src/commands/directory-decoder.ts';
import { checkLog, type LogCheckStep, type LogFinding } from '../../src/log/index.ts';
import { createStreamInspector } from '../../src/otap/index.ts';
import { readArrowStreams } from '../helpers/captures.ts';
import { appendCapture, openTestLog } from '../helpers/engine-log.ts';
import { appendJson, logsRequest, makeLog, ONE_ENTRY_A_SEGMENT, openLogOf, segmentOf } from './log-directories.ts';
import { runTreasury, startServer, temporaryDirectory } from './process.ts';

async function findingsOf(data: string): Promise<LogFinding[]> {
  return (await stepsOf(data)).flatMap(({ findings }) => findings);
}

async function stepsOf(data: string): Promise<LogCheckStep[]> {
  const directory = join(data, 'log');
  const decoder = await createDirectoryDecoder(directory);
  return [
    ...checkLog(directory, {
      decodeFault(entry) {
        const decoded = decoder.decode(entry);
        return typeof decoded === 'string' ? decoded : null;
      },
    }),
  ];
}

function kindsOf(findings: readonly LogFinding[]): string[] {
  return [...new Set(findings.map(({ kind }) => kind))].toSorted();
}

interface Planted {
  readonly name: string;
  readonly plant: (data: string, other: string) => void;
  readonly kinds: readonly LogFinding['kind'][];
  /** Of a finding of the first kind. */
  readonly segment?: number | null;
  readonly message: RegExp;
}

function flip(path: string, position: number): void {
  const bytes = readFileSync(path);
  bytes[position]! ^= 1;
  writeFileSync(path, bytes);
}

function withIndex(data: string, change: (index: Sqlite.Database) => void): void {
  const index = new Sqlite(join(data, 'log', 'index.sqlite'));
  change(index);
  index.close();
}

/** Each on a log of six segments with one entry each. */
const PLANTED: readonly Planted[] = [
  {
    name: 'a flipped bit in a record',
    plant(data) {
      const path = segmentOf(data, 2);
      flip(path, readFileSync(path).indexOf('body 2'));
    },
    kinds: ['damage', 'index'],
    segment: 2,
    message: /record does not match its CRC/,
  },
  {
    name: "a flipped bit in a frame's head",
    plant: (data) => flip(segmentOf(data, 2), readFileSync(segmentOf(data, 2)).indexOf('application/json')),
    kinds: ['damage', 'index', 'missing'],
    segment: 2,
    message: /frame does not match its CRC/,
  },
  {
    name: 'a flipped bit in a header',
    plant: (data) => flip(segmentOf(data, 2), 100),
    kinds: ['damage', 'index'],
    segment: 2,
    message: /header/,
  },
  {
    name: 'a segment that is cut',
    plant: (data) => truncateSync(segmentOf(data, 3), readFileSync(segmentOf(data, 3)).length - 100),
    kinds: ['damage', 'index', 'missing'],
    segment: 3,
    message: /cut off/,
  },
  {
    name: 'a write at the end that was not finished',
    plant: (data) => truncateSync(segmentOf(data, 5), readFileSync(segmentOf(data, 5)).length - 100),
    kinds: ['torn', 'index'],
    segment: 5,
    message: /cut off/,
  },
  {
    name: 'a segment that is missing',
    plant: (data) => rmSync(segmentOf(data, 2)),
    kinds: ['missing', 'index'],
    segment: 3,
    message: /entries 2 to 3 \(exclusive\) are missing/,
  },
  {
    name: 'a first segment that nobody deleted',
    plant: (data) => rmSync(segmentOf(data, 0)),
    kinds: ['missing', 'index'],
    segment: 1,
    message: /entries 0 to 1 \(exclusive\) are missing/,
  },
  {
    name: 'a last segment that is missing',
    plant: (data) => rmSync(segmentOf(data, 5)),
    kinds: ['index'],
    segment: null,
    message: /knows a segment 5, which is not there/,
  },
  {
    name: 'segments that are swapped',
    plant(data) {
      renameSync(segmentOf(data, 1), join(data, 'x'));
      renameSync(segmentOf(data, 3), segmentOf(data, 1));
      renameSync(join(data, 'x'), segmentOf(data, 3));
    },
    kinds: ['damage', 'index', 'missing'],
    segment: 1,
    message: /file is named 1 and its header says 3/,
  },
  {
    name: 'a segment of another log',
    plant: (data, other) => copyFileSync(segmentOf(other, 4), segmentOf(data, 4)),
    kinds: ['foreign', 'index', 'missing'],
    segment: 4,
    message: /segment belongs to log [0-9a-f-]{36}, this one is/,
  },
  {
    name: 'an index of another log',
    plant: (data, other) => copyFileSync(join(other, 'log', 'index.sqlite'), join(data, 'log', 'index.sqlite')),
    kinds: ['index'],
    segment: null,
    message: /index is of log/,
  },
  {
    name: 'an index with a wrong row',
    plant: (data) =>
      withIndex(data, (index) => index.exec('UPDATE frames SET position = position + 8 WHERE base_offset = 3')),
    kinds: ['index'],
    segment: 3,
    message: /index table frames has \(base_offset 3, .*the segments say \(base_offset 3, /,
  },
  {
    name: 'an index that is behind',
    plant: (data) =>
      withIndex(data, (index) =>
        index.exec('DELETE FROM frames WHERE base_offset = 5; DELETE FROM segments WHERE base_offset = 5'),
      ),
    kinds: ['index'],
    segment: 5,
    message: /index is behind the segments: table segments has 0 of 1 rows/,
  },
  {
    name: 'an index that is ahead',
    plant: (data) =>
      withIndex(data, (index) =>
        index.exec(
          'INSERT INTO frames SELECT 6, segment, 9000, bytes, "rows", 1, 1, 1, 1 FROM frames LIMIT 1 OFFSET 5',
        ),
      ),
    kinds: ['index'],
    segment: 5,
    message: /index is ahead of the segments: table frames has 2 of 1 rows/,
  },
  {
    name: 'an index with a gap that is none',
    plant: (data) => withIndex(data, (index) => index.exec('INSERT INTO gaps VALUES (2, 3)')),
    kinds: ['index'],
    segment: 2,
    message: /table gaps/,
  },
  {
    name: 'an index that is no database',
    plant: (data) => writeFileSync(join(data, 'log', 'index.sqlite'), Buffer.alloc(5_000, 7)),
    kinds: ['index'],
    segment: null,
    message: /index cannot be read/,
  },
];

for (const { name, plant, kinds, segment, message } of PLANTED) {
  test(`verify finds ${name}`, async (context) => {
    const [data, other] = [temporaryDirectory(context), temporaryDirectory(context)];
    await makeLog(data, 6, ONE_ENTRY_A_SEGMENT);
    await makeLog(other, 6, ONE_ENTRY_A_SEGMENT);
    assert.deepEqual(await findingsOf(data), []);
    plant(data, other);
    const findings = await findingsOf(data);
    assert.deepEqual(
      kindsOf(findings),
      [...kinds].toSorted(),
      JSON.stringify(findings, (_, value) =>
        String(value) === '[object Object]' || typeof value !== 'bigint' ? value : String(value),
      ),
    );
    const found = findings.find((finding) => finding.kind === kinds[0] && message.test(finding.message));
    assert.ok(found, findings.map((finding) => finding.message).join('\n'));
    if (segment === undefined) return;
    assert.equal(found.segment, segment === null ? null : segmentOf('', segment).split('/').at(-1));
    if (found.kind === 'damage') assert.ok(found.position !== null && found.bytes !== null && found.bytes > 0);
  });
}

test('verify finds an entry that is whole and gives no rows', async (context) => {
  const data = temporaryDirectory(context);
  const log = await openLogOf(data);
  await appendJson(log, logsRequest('good'));
  const bad = await appendJson(log, Buffer.from('{"resourceLogs": 5}'));
  await appendJson(log, logsRequest('good again'));
  await log.close();
  const findings = await findingsOf(data);
  assert.deepEqual(
    findings.map(({ kind, offset }) => [kind, offset]),
    [['undecodable', bad]],
  );
  assert.match(findings[0]!.message, /resourceLogs/);
});

test('verify finds a batch whose segment lacks the state that it needs', async (context) => {
  const data = temporaryDirectory(context);
  const log = await openLogOf(data);
  const [{ arrowSignal, messages }] = readArrowStreams('rich-1').filter((each) => each.messages.length > 1) as [
    ReturnType<typeof readArrowStreams>[number],
  ];
  const inspector = createStreamInspector(arrowSignal);
  const batches = messages.map((message) => inspector.inspect(message));
  const stream = log.openStream(SIGNAL_CODES[arrowSignal]);
  // The first batch, with the schema, is not in the log.
  const { offset } = await stream.append({ batchId: 1n, record: batches[1]!.record });
  stream.close();
  await log.close();
  const findings = await findingsOf(data);
  assert.ok(findings.some((finding) => finding.kind === 'undecodable' && finding.offset === offset));
});

test('verify decodes every segment of stateful streams from itself alone', {}, async (context) => {
  const data = temporaryDirectory(context);
  await makeLog(data, 1);
  const log = await openTestLog(data, { ...ONE_ENTRY_A_SEGMENT });
  const batches = await appendCapture(log, 'rich-1');
  await log.close();
  const steps = await stepsOf(data);
  assert.deepEqual(
    steps.flatMap(({ findings }) => findings),
    [],
  );
  assert.ok(steps.length > batches, 'there are segments to go through');
  const last = steps.at(-1)!;
  assert.equal(last.bytesDone, last.bytesTotal);
  for (const [i, { bytesDone }] of steps.entries()) assert.ok(i === 0 || bytesDone >= steps[i - 1]!.bytesDone);
});

test('verify takes a log without an index, and one whose beginning retention has deleted, for whole', async (context) => {
  const data = temporaryDirectory(context);
  const directory = await makeLog(data, 6, ONE_ENTRY_A_SEGMENT);
  rmSync(join(directory, 'index.sqlite'));
  assert.deepEqual(await findingsOf(data), []);
  rmSync(segmentOf(data, 0));
  assert.deepEqual(kindsOf(await findingsOf(data)), ['missing']);
  // The next start finds out and records it.
  await (await openLogOf(data)).close();
  assert.deepEqual(await findingsOf(data), []);
});

test('log verify lists findings with their places and ends with 1, on a copy too', async (context) => {
  const [data, parent] = [temporaryDirectory(context), temporaryDirectory(context)];
  await makeLog(data, 6, ONE_ENTRY_A_SEGMENT);
  const copy = join(parent, 'copy');
  cpSync(data, copy, { recursive: true });
  const clean = await runTreasury(['log', 'verify', '--data', copy]);
  assert.deepEqual([clean.code, clean.stdout], [0, 'The log is whole\n']);
  assert.match(clean.stderr, /^Verified .* of .* \(100 %\), offset 5, .*\/s\n$/);
  const path = segmentOf(copy, 2);
  const position = readFileSync(path).indexOf('body 2');
  flip(path, position);
  rmSync(join(copy, 'log', 'index.sqlite'));
  const text = await runTreasury(['log', 'verify', '--data', copy]);
  assert.equal(text.code, 1);
  const [line, summary] = text.stdout.trimEnd().split('\n');
  const [, first, last] = /bytes (\d+)-(\d+)/.exec(line!)!;
  assert.ok(line!.startsWith(`damage  ${path}  bytes`), line);
  assert.ok(Number(first) <= position && position <= Number(last));
  assert.equal(summary, '1 finding: 1 damage');
  const json = await runTreasury(['log', 'verify', '--data', copy, '--format', 'json']);
  assert.equal(json.code, 1);
  const finding = JSON.parse(json.stdout) as Record<string, unknown>;
  assert.deepEqual([finding['kind'], finding['path'], finding['position']], ['damage', path, Number(first)]);
});

test('log verify and rebuild name the PID of a server that runs', async (context) => {
  const data = temporaryDirectory(context);
  const server = await startServer(context, data);
  for (const argv of [['log', 'verify'], ['rebuild']]) {
    const { code, stderr } = await runTreasury([...argv, '--data', data]);
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`\\b${server.child.pid}\\b`));
  }
});

test('log verify reads a backup on a read-only disk', async (context) => {
  const data = temporaryDirectory(context);
  await makeLog(data, 6, ONE_ENTRY_A_SEGMENT);
  const mounted = spawnSync('sh', ['-c', 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1"', 'sh', data]);
  try {
    if (mounted.status !== 0) {
      context.skip(`this machine mounts no read-only disk: ${mounted.stderr.toString().trim()}`);
      return;
    }
    const { code, stdout, stderr } = await runTreasury(['log', 'verify', '--data', data]);
    assert.deepEqual([code, stdout], [0, 'The log is whole\n'], stderr);
  } finally {
    spawnSync('umount', ['-l', data]);
  }
});
