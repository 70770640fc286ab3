/**
 * Goal: no bytes stop the server, slow it to a halt or grow it without bound, and good data goes on beside them.
 * Method: 5,000 seeded mutations of messages that a real Collector sent, each on a stream of its own behind a good message of that
 * stream, over real gRPC, some in the compressed frame and most in the message. Whatever was accepted is materialized or
 * quarantined; a good capture sent at the same time and one sent afterwards have every row.
 * Invariant: every answer is OK or INVALID_ARGUMENT, every RPC ends, the process is the same one at the end.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { readArrowStreams } from '../helpers/captures.ts';
import { compressMessage, connectOtap, type OtapClient, replayStreams } from '../helpers/otap-client.ts';
import { mutate, type Random, seededRandom } from '../helpers/random.ts';
import { fetchSql, scratchDirectory, startServerProcess, untilMaterialized } from '../helpers/server-process.ts';

const SEED = Number(process.env['TREASURY_TEST_SEED'] ?? 20_261_122);
const MUTATIONS = 5_000;
const SIDE_BY_SIDE = 16;
const CAPTURES = ['odd-1', 'empties-1', 'telemetrygen-1', 'hostmetrics-1'];
/** Decoded dictionaries and batches have their own limits; this is far above a healthy run (300 MiB) and far below a leak. */
const RSS_MAX_BYTES = 1024 * 1024 * 1024;
/** Rows of capture rich-1 (its README). */
const GOOD_ROWS = { logs: 1036, spans: 846 };
const OK = 0;
const INVALID_ARGUMENT = 3;

const streams = CAPTURES.flatMap((name) => readArrowStreams(name)).filter((stream) => stream.messages.length > 0);

test(`${MUTATIONS} mutated messages are answered or refused, and nothing else is harmed (seed ${SEED})`, async (t) => {
  const server = await startServerProcess(scratchDirectory(t));
  t.after(() => server.end('SIGKILL'));
  const client = await connectOtap(server.grpc);
  const good = readArrowStreams('rich-1').filter((stream) => stream.messages.length > 0);
  const random = seededRandom(SEED);
  const answers = new Map<string, number>();
  let left = MUTATIONS;

  await Promise.all([
    assertAllOk(replayStreams(client, good, { encoding: 'zstdarrow5' })),
    ...Array.from({ length: SIDE_BY_SIDE }, async () => {
      while (left-- > 0) {
        const answer = await sendMutation(client, random);
        answers.set(answer, (answers.get(answer) ?? 0) + 1);
      }
    }),
  ]);
  const before = await untilMaterialized(server);
  await assertAllOk(replayStreams(client, good, { encoding: 'zstdarrow5' }));
  await client.close();

  const status = await untilMaterialized(server);
  t.diagnostic(`answers: ${JSON.stringify(Object.fromEntries(answers))}`);
  for (const answer of answers.keys()) assert.match(answer, /^(OK|INVALID_ARGUMENT)\/(OK|INVALID_ARGUMENT)$/);
  assert.ok(
    (answers.get('OK/OK') ?? 0) > 0 && [...answers.keys()].some((answer) => answer.startsWith('INVALID_ARGUMENT')),
  );
  assert.equal(server.child.exitCode, null);
  assert.equal((await fetch(`http://${server.http}/readyz`)).status, 200, JSON.stringify(status));
  const rss = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${server.child.pid}/status`, 'utf8'))![1]) * 1024;
  assert.ok(rss < RSS_MAX_BYTES, `peak RSS ${rss}`);

  const [[logs, spans]] = (await fetchSql(
    server,
    `SELECT (SELECT count(*) FROM logs WHERE entry_offset >= ${before.durableOffset}),
            (SELECT count(*) FROM spans WHERE entry_offset >= ${before.durableOffset})`,
  )) as [[string, string]];
  assert.deepEqual({ logs: Number(logs), spans: Number(spans) }, GOOD_ROWS);
});

/** Sends one good message and one mutated message of the same stream; returns `status of the second/status of the RPC`. */
async function sendMutation(client: OtapClient, random: Random): Promise<string> {
  const { arrowSignal, messages } = random.pick(streams);
  const index = random.below(messages.length);
  const stream = client.openStream(arrowSignal, { encoding: 'zstdarrow5' });
  for (const message of messages.slice(0, index)) await stream.send(message);
  if (random.below(10) === 0) await stream.call.sendFrame(mutate(compressMessage(messages[index]!, 'zstd'), random), 1);
  else await stream.send(mutate(messages[index]!, random));
  stream.halfClose();
  const end = await stream.ended;
  // Statuses may overtake each other: a refusal need not wait for the disk.
  const accepted = stream.statuses.filter((status) => status.code === OK).length;
  assert.ok(accepted >= index, `${index - accepted} of ${index} good messages before the bad one were not accepted`);
  const refusal = stream.statuses.find((status) => status.code !== OK);
  const answer = refusal?.code ?? (accepted > index ? OK : end.code);
  return `${nameOf(answer)}/${nameOf(end.code)}`;
}

function nameOf(code: number): string {
  if (code === OK) return 'OK';
  return code === INVALID_ARGUMENT ? 'INVALID_ARGUMENT' : `code ${code}`;
}

async function assertAllOk(replay: ReturnType<typeof replayStreams>): Promise<void> {
  for (const { statuses, end } of await replay) {
    assert.deepEqual([end.code, statuses.filter((status) => status.code !== OK)], [OK, []]);
  }
}
