/**
 * Goal: copying sealed segments of a running server is a backup, as docs/operations.md says: what was copied is served by a second
 * server, entry by entry, and verifies.
 * Method: a server under load whose segments are small; the commands of that page, run by a shell while entries arrive.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { listSegments, readEntries } from '../../src/log/index.ts';
import { logsRequest } from './log-directories.ts';
import { runShell, runTreasury, startServer, temporaryDirectory } from './process.ts';

/** Segments of an eighth of what the log may keep, all of which it keeps here. */
const SMALL_SEGMENTS = ['--retention-bytes', '130MB', '--materialize', 'off'];
const BODY = 'x'.repeat(400_000);

async function send(url: string, body: string): Promise<void> {
  const response = await fetch(`${url}/v1/logs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: logsRequest(body),
  });
  assert.equal(response.status, 200);
}

const PAGE = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');

/** The commands below a heading of docs/operations.md, with other directories, and `"$@"` for `treasury`. */
function commandsOf(heading: string, directories: string): string {
  const [block] = /```sh\n[\s\S]*?```/.exec(PAGE.slice(PAGE.indexOf(`## ${heading}\n`)))!;
  const lines = block.split('\n').slice(1, -1);
  assert.match(lines[0]!, /^DATA=/);
  const commands = lines.slice(1).filter((line) => !line.startsWith('npx treasury serve'));
  return ['set -e', directories, ...commands].join('\n').replaceAll('npx treasury', '"$@"');
}

test('sealed segments copied from a running server are a whole log, and a second server serves all of it', async (context) => {
  const [data, backup, restored] = [1, 2, 3].map(() => temporaryDirectory(context)) as [string, string, string];
  const server = await startServer(context, data, SMALL_SEGMENTS);
  let isOver = false;
  let sent = 0;
  const load = (async () => {
    while (!isOver) await send(server.otlpHttp, `${sent++} ${BODY}`);
  })();
  context.after(() => {
    isOver = true;
    return load;
  });
  const sealed = () => listSegments(join(data, 'log')).filter((segment) => segment.sealed).length;
  for (let round = 1; round <= 2; round++) {
    while (sealed() < round) await sleep(20);
    const copied = await runShell(commandsOf('Back up', `DATA=${data} TO=${backup}`));
    assert.deepEqual([copied.code, copied.stdout], [0, 'The log is whole\n'], copied.stderr);
  }
  isOver = true;
  await load;
  const entries = [...readEntries(join(backup, 'log'), { from: 0n })];
  const copies = readdirSync(join(backup, 'log')).filter((name) => name.endsWith('.arrows'));
  assert.ok(copies.length >= 2, 'both rounds copied segments');
  assert.deepEqual(
    entries.map(({ offset }) => offset),
    entries.map((_, i) => BigInt(i)),
  );

  const restoring = await runShell(commandsOf('Restore', `DATA=${restored} FROM=${backup}`));
  assert.deepEqual([restoring.code, restoring.stdout], [0, 'The log is whole\n'], restoring.stderr);
  const second = await startServer(context, restored);
  const ask = async (query: string) => {
    const response = await fetch(`${second.http}/treasury/v1/sql`, { method: 'POST', body: query });
    return ((await response.json()) as { rows: unknown[][] }).rows;
  };
  const caughtUp = async () => {
    for (;;) {
      const status = (await (await fetch(`${second.http}/treasury/v1/status`)).json()) as { lag: number | null };
      if (status.lag === 0) return;
      await sleep(20);
    }
  };
  await caughtUp();
  const bodies = entries.map(
    ({ record }) => /"body":\{"stringValue":"(\d+) x/.exec(Buffer.from(record).toString())![1],
  );
  assert.deepEqual(
    await ask("SELECT entry_offset, split_part(body, ' ', 1), length(body) FROM logs ORDER BY entry_offset"),
    bodies.map((body, i) => [String(i), body, String(body!.length + 1 + BODY.length)]),
  );
  // It goes on behind what it was given.
  await send(second.otlpHttp, 'behind');
  await caughtUp();
  assert.deepEqual(await ask("SELECT entry_offset FROM logs WHERE body = 'behind'"), [[String(entries.length)]]);
  second.child.kill('SIGTERM');
  assert.equal((await second.finished).code, 0);
  const after = await runTreasury(['log', 'verify', '--data', restored]);
  assert.deepEqual([after.code, after.stdout], [0, 'The log is whole\n']);
});

test('segment that kill -9 left is in the backup after the next start, and is restored with the others', async (context) => {
  const [data, backup, restored] = [1, 2, 3].map(() => temporaryDirectory(context)) as [string, string, string];
  const first = await startServer(context, data, SMALL_SEGMENTS);
  for (let i = 0; i < 3; i++) await send(first.otlpHttp, `${i} short`);
  first.child.kill('SIGKILL');
  await first.finished;
  const second = await startServer(context, data, SMALL_SEGMENTS);
  const segments = () => listSegments(join(data, 'log'));
  while (!segments()[0]!.sealed) await sleep(20);
  // The one being written is not part of it.
  await send(second.otlpHttp, 'behind');
  const copied = await runShell(commandsOf('Back up', `DATA=${data} TO=${backup}`));
  assert.deepEqual([copied.code, copied.stdout], [0, 'The log is whole\n'], copied.stderr);
  const restoring = await runShell(commandsOf('Restore', `DATA=${restored} FROM=${backup}`));
  assert.deepEqual([restoring.code, restoring.stdout], [0, 'The log is whole\n'], restoring.stderr);
  const server = await startServer(context, restored, SMALL_SEGMENTS);
  await send(server.otlpHttp, 'new');
  server.child.kill('SIGTERM');
  assert.equal((await server.finished).code, 0);
  const bodies = [...readEntries(join(restored, 'log'), { from: 0n })].map(
    ({ record }) => /"body":\{"stringValue":"([^"]*)"/.exec(Buffer.from(record).toString())![1],
  );
  assert.deepEqual(bodies, ['0 short', '1 short', '2 short', 'new']);
});

test('backup without its first segments says so once and is served from there', async (context) => {
  const data = temporaryDirectory(context);
  const server = await startServer(context, data, ['--retention-bytes', '32MB', '--materialize', 'off']);
  for (let i = 0; i < 25; i++) await send(server.otlpHttp, `${i} ${BODY}`);
  server.child.kill('SIGTERM');
  await server.finished;
  const [first] = readdirSync(join(data, 'log'))
    .filter((name) => name.endsWith('.arrows'))
    .toSorted();
  rmSync(join(data, 'log', first!));
  for (const name of ['index.sqlite', 'index.sqlite-wal', 'index.sqlite-shm'])
    rmSync(join(data, 'log', name), { force: true });
  rmSync(join(data, 'tables'), { recursive: true });
  const before = await runTreasury(['log', 'verify', '--data', data]);
  assert.equal(before.code, 1);
  assert.match(
    before.stdout,
    /missing .* offset 0 {2}entries 0 to \d+ \(exclusive\) are missing\n1 finding: 1 missing\n/,
  );
  const again = await startServer(context, data);
  again.child.kill('SIGTERM');
  assert.equal((await again.finished).code, 0);
  assert.equal((await runTreasury(['log', 'verify', '--data', data])).code, 0);
});
