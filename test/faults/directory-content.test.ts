/**
 * Goal: no content of the data directory makes the server crash, hang, or answer now so and now otherwise.
 * Method: data directories of a real server, each with seeded pieces of content put in the place of its files or beside them: garbage,
 * folders, pipes, links, odd names. Each is started twice in this process as `serve` does it; a piece that should stop the server is
 * also tried alone. Two directories go to real processes.
 * `TREASURY_TEST_ROUNDS` directories (5).
 * Invariant: it starts, takes an entry and has it at the next start, or it refuses with an error that `serve` ends with 1 on and that
 * names the path. Twice alike. What is not the server's own is there afterwards, as it was.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import Sqlite from 'better-sqlite3';
import { silentLogger, TreasuryError } from '../../src/base/index.ts';
import { parseCommandLine } from '../../src/config.ts';
import { verifyLog } from '../../src/log/index.ts';
import { startTreasury } from '../../src/treasury.ts';
import { appendJson, logsRequest, openLogOf } from '../commands/log-directories.ts';
import { runTreasury, startServer, temporaryDirectory } from '../commands/process.ts';
import { seededRandom } from '../helpers/random.ts';

const SEED = Number(process.env['TREASURY_TEST_SEED'] ?? 20_261_122);
const ROUNDS = Number(process.env['TREASURY_TEST_ROUNDS'] ?? 5);
const PIECES_MAX = 4;
const PORTS = ['--grpc', '--otlp-http', '--http'].flatMap((flag) => [flag, '127.0.0.1:0']);

interface Piece {
  /** In the data directory. */
  readonly path: string;
  readonly put: (path: string) => void;
  /** Nobody's but the user's: it has to stay as it is. */
  readonly isForeign?: boolean;
}

const random = seededRandom(SEED);
const garbage = (bytes: number) => Buffer.from(Array.from({ length: bytes }, () => random.below(256)));
const write = (content: string | Buffer) => (path: string) => writeFileSync(path, content);
const folder = (path: string) => mkdirSync(path);
const pipe = (path: string) => assert.equal(spawnSync('mkfifo', [path]).status, 0);
const link = (target: string) => (path: string) => symlinkSync(target, path);
const segment = (base: bigint) => `log/${String(base).padStart(20, '0')}.arrows`;
const change = (sql: string) => (path: string) => {
  const database = new Sqlite(path);
  database.exec(sql);
  database.close();
};

/** Beside what the server makes of them. */
const HARMLESS: readonly Piece[] = [
  { path: segment(9n), put: write(garbage(5000)), isForeign: true },
  { path: segment(11n), put: write(Buffer.alloc(70_000)), isForeign: true },
  { path: `log/${'x'.repeat(250)}`, put: write('x'), isForeign: true },
  { path: 'log/\n\u202e*.arrows', put: write(garbage(100)), isForeign: true },
  { path: 'log/-1.arrows', put: folder, isForeign: true },
  { path: 'notes', put: link('/nowhere'), isForeign: true },
  { path: 'pipe', put: pipe, isForeign: true },
  { path: 'tables/other.duckdb', put: write(garbage(300)), isForeign: true },
  { path: 'log/index.sqlite', put: write(garbage(9000)) },
  { path: 'log/index.sqlite-wal', put: write(garbage(9000)) },
  { path: 'log/deletions.jsonl', put: write('garbage\n{"a') },
  { path: 'log/deletions.jsonl', put: folder },
  { path: 'log/deletions.jsonl', put: pipe },
  { path: 'tables/treasury.duckdb', put: write(garbage(9000)) },
  { path: 'tables/treasury.duckdb', put: write('') },
  // Its first bytes make DuckDB want an extension.
  { path: 'tables/treasury.duckdb', put: change('CREATE TABLE t (a)') },
  { path: 'tables/treasury.duckdb.wal', put: write(garbage(9000)) },
  { path: 'lock', put: write('{"pid":0}') },
  { path: 'lock', put: write(garbage(40)) },
];

const REFUSED: readonly Piece[] = [
  { path: segment(9n), put: folder },
  { path: segment(9n), put: pipe },
  { path: segment(9n), put: link('/nowhere') },
  { path: segment(2n ** 52n), put: write('') },
  { path: segment(2n ** 63n - 2n), put: write(garbage(5000)) },
  { path: segment(99_999_999_999_999_999_999n), put: write(garbage(50)) },
  { path: 'log/quarantine', put: write('') },
  { path: 'log/index.sqlite', put: folder },
  { path: 'log/index.sqlite', put: link('/nowhere') },
  { path: 'log/index.sqlite-journal', put: folder },
  { path: 'tables/treasury.duckdb', put: folder },
  { path: 'tables/treasury.duckdb', put: pipe },
  { path: 'tables', put: write('') },
  { path: 'log', put: write('') },
  { path: 'lock', put: folder },
  { path: 'lock', put: pipe },
];

/** Rows that an index cannot have, each in one that calls itself good. */
const CONTRADICTIONS: readonly string[] = [
  'DELETE FROM segments',
  'DELETE FROM frames',
  'DROP TABLE cursors',
  'UPDATE frames SET segment = 77',
  'UPDATE frames SET "rows" = -3',
  'UPDATE frames SET base_offset = 9223372036854775000 WHERE base_offset = 1',
  'UPDATE frames SET position = -10',
  'UPDATE segments SET bytes = -7',
  'UPDATE segments SET bytes = 1500, sealed = 0',
  'UPDATE segments SET end_offset = 1',
  'UPDATE segments SET end_offset = 100',
  "UPDATE meta SET value = 'abc' WHERE key LIKE 'kept_end%'",
  "UPDATE meta SET value = '99999999999999999999' WHERE key LIKE 'kept_end%'",
  "INSERT INTO cursors SELECT 'a', value, 9223372036854775807, 0 FROM meta WHERE key = 'log_uuid'",
];

/** A log of two entries and no tables: they are made at the start. */
async function makeData(data: string): Promise<void> {
  const log = await openLogOf(data);
  for (const body of ['one', 'two']) await appendJson(log, logsRequest(body));
  await log.close();
  mkdirSync(join(data, 'tables'));
}

function put(data: string, { path, put }: Piece): void {
  rmSync(join(data, path), { recursive: true, force: true });
  put(join(data, path));
}

/** What is at a path, in words. */
function look(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return spawnSync('readlink', [path]).stdout.toString();
  return found.isFile() ? readFileSync(path).toString('latin1') : `mode ${found.mode}`;
}

/** Starts on a directory and gives it an entry. Returns the durable offset then, or why it refuses. */
async function start(data: string): Promise<number | string> {
  const line = parseCommandLine(['serve', '--data', data, ...PORTS]);
  assert.ok(line.kind === 'command');
  let treasury;
  try {
    treasury = await startTreasury(line.config, silentLogger);
  } catch (error) {
    // What `serve` ends with 1 and a message on; anything else is a crash.
    assert.ok(error instanceof TreasuryError || (error instanceof Error && 'syscall' in error), String(error));
    return error.message;
  }
  const { otlpHttp, http } = treasury.addresses;
  const headers = { 'content-type': 'application/json' };
  const sent = await fetch(`http://${otlpHttp}/v1/logs`, { method: 'POST', headers, body: logsRequest('new') });
  const status = (await (await fetch(`http://${http}/treasury/v1/status`)).json()) as { durableOffset: string };
  await treasury.stop();
  assert.equal(sent.status, 200);
  return Number(status.durableOffset);
}

test(`server starts or refuses twice alike, whatever is in its directory (${ROUNDS} directories, seed ${SEED})`, async (t) => {
  for (let round = 0; round < ROUNDS; round++) {
    const data = join(temporaryDirectory(t), 'data');
    await makeData(data);
    const pieces = Array.from({ length: 1 + random.below(PIECES_MAX) }, () => random.pick(HARMLESS));
    const place = `round ${round}, seed ${SEED}: ${JSON.stringify(pieces.map(({ path }) => path))}`;
    for (const piece of pieces) put(data, piece);
    const foreign = pieces.filter(({ isForeign }) => isForeign).map(({ path }) => [path, look(join(data, path))]);
    const first = await start(data);
    assert.ok(typeof first === 'number', `${place}: ${first}`);
    // Its entry is durable, so the next one is behind it.
    assert.equal(await start(data), first + 1, place);
    for (const [path, content] of foreign) assert.equal(look(join(data, path!)), content, `${place}: ${path}`);
  }
});

test('content that stops a start is named, at every start, and stays', async (t) => {
  const good = join(temporaryDirectory(t), 'data');
  await makeData(good);
  for (const piece of REFUSED) {
    const data = join(temporaryDirectory(t), 'data');
    cpSync(good, data, { recursive: true });
    put(data, piece);
    const path = join(data, piece.path);
    const content = look(path);
    const first = await start(data);
    assert.ok(typeof first === 'string', `${piece.path} is taken`);
    assert.ok(first.includes(path), `${first} does not name ${piece.path}`);
    assert.equal(await start(data), first);
    assert.equal(look(path), content);
  }
});

test('index that calls itself good and contradicts the segments is built anew', async (t) => {
  const good = join(temporaryDirectory(t), 'data');
  await makeData(good);
  for (const sql of CONTRADICTIONS) {
    const data = join(temporaryDirectory(t), 'data');
    cpSync(good, data, { recursive: true });
    change(sql)(join(data, 'log', 'index.sqlite'));
    for (let next = 2n; next < 4n; next++) {
      const log = await openLogOf(data);
      const offset = await appendJson(log, logsRequest('next'));
      assert.equal(offset, next, sql);
      await log.close();
    }
    assert.deepEqual(verifyLog(join(data, 'log')), [], sql);
  }
});

test('real server ends with 1 where it refuses, and serves beside all that is harmless', async (t) => {
  const data = temporaryDirectory(t);
  await makeData(data);
  const [piece] = REFUSED;
  put(data, piece!);
  const refused = await runTreasury(['serve', '--data', data, ...PORTS]);
  assert.equal(refused.code, 1, refused.stderr);
  assert.ok(refused.stderr.split('\n').some((text) => text.startsWith('treasury: ') && text.includes(piece!.path)));
  rmSync(join(data, piece!.path), { recursive: true });
  for (const harmless of HARMLESS) put(data, harmless);
  const server = await startServer(t, data);
  server.child.kill('SIGTERM');
  assert.equal((await server.finished).code, 0);
});

test('segment that may not be read is named', async (t) => {
  if (process.getuid?.() === 0) {
    t.skip('root may read everything: run as another user');
    return;
  }
  const data = temporaryDirectory(t);
  await makeData(data);
  const path = join(data, segment(0n));
  chmodSync(path, 0);
  for (let i = 0; i < 2; i++) assert.match(String(await start(data)), new RegExp(`EACCES.*${basename(path)}`));
});
