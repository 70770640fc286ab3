/**
 * Goal: no bytes stop the server, slow it to a halt or grow it without bound, good data goes on beside them, and nothing that was
 * accepted is passed by without a word.
 * Method: 5,000 seeded mutations (TREASURY_TEST_MUTATIONS) of what real exporters sent: compressed frames, envelopes, Arrow messages,
 * dictionaries and values of OTAP, each behind good messages of its stream; OTLP in protobuf and JSON. A fifth of them goes over real
 * sockets to a real server, while a good capture is replayed beside them; then every entry of the log is decoded without the server
 * and compared with the tables. The others go through inspection and decoding alone, as the two threads do them. Beside:
 * test/api/grpc/malformed.test.ts (each kind of refusal, bombs), test/otap/*-fuzz.test.ts (what decoders make of damage).
 * Invariant: every answer is OK or INVALID_ARGUMENT (400, 413); a refused batch ends its own stream and no other; the process is
 * the same one at the end, and so is its engine; each accepted entry is one of the log, with all of its rows in the tables or
 * under its offset in quarantine, and OTLP never there.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { BatchMalformedError, BatchTooLargeError } from '../../src/base/index.ts';
import { createStreamDecoder, createStreamInspector, decodeOtlp, initZstd, inspectOtlp } from '../../src/otap/index.ts';
import { checkBatch } from '../helpers/batch-invariants.ts';
import { readArrowStreams } from '../helpers/captures.ts';
import {
  type CapturedRequest,
  damageBatch,
  type DamagedMessage,
  damageRequest,
  hostileRequests,
  hostileStreams,
} from '../helpers/hostile-input.ts';
import { assertAccounted, type EntriesFound } from '../helpers/entry-accounts.ts';
import { connectOtap, type OtapClient, replayStreams } from '../helpers/otap-client.ts';
import { createOtlpHttpClient, OTLP_GRPC_PATHS, type OtlpHttpClient } from '../helpers/otlp-client.ts';
import { type Random, seededRandom } from '../helpers/random.ts';
import { fetchSql, scratchDirectory, startServerProcess, untilMaterialized } from '../helpers/server-process.ts';

const SEED = Number(process.env['TREASURY_TEST_SEED'] ?? 20_261_122);
const MUTATIONS = Number(process.env['TREASURY_TEST_MUTATIONS'] ?? 5_000);
const OVER_SOCKETS = Math.ceil(MUTATIONS / 5);
const SIDE_BY_SIDE = 16;
const GOOD_REPLAYS = 5;
/** Good messages before the damaged one, at most. */
const MESSAGES_BEFORE_MAX = 6;
/** Decoded dictionaries and batches have their own limits; this is far above a healthy run (300 MiB) and far below a leak. */
const RSS_MAX_BYTES = 1024 * 1024 * 1024;
/** Rows of capture rich-1 (its README). */
const GOOD_ROWS = { logs: 1036, spans: 846 };
const OK = 0;
const INVALID_ARGUMENT = 3;

const streams = hostileStreams();
const requests = hostileRequests();

test(`${OVER_SOCKETS} damaged inputs are answered or refused, and what was accepted is found again (seed ${SEED})`, async (t) => {
  const server = await startServerProcess(scratchDirectory(t));
  t.after(() => server.end('SIGKILL'));
  const client = await connectOtap(server.grpc);
  const http = await createOtlpHttpClient(server.otlpHttp);
  t.after(() => http.close());
  const good = readArrowStreams('rich-1').filter((stream) => stream.messages.length > 0);
  const random = seededRandom(SEED);
  const answers = new Map<string, number>();
  let accepted = 0;
  let left = OVER_SOCKETS;
  const told = (kind: string, sent: Sent): void => {
    accepted += sent.accepted;
    answers.set(`${kind} ${sent.answer}`, (answers.get(`${kind} ${sent.answer}`) ?? 0) + 1);
  };

  const mutations = Array.from({ length: SIDE_BY_SIDE }, async () => {
    while (left-- > 0) {
      if (random.below(3) > 0) told('OTAP', await sendBatch(client, random));
      else {
        const request = random.pick(requests);
        if (request.transport === 'grpc') told('gRPC', await sendGrpc(client, request, random));
        else told('HTTP', await sendHttp(http, request, random));
      }
    }
  });
  let acceptedGood = 0;
  for (let replay = 0; replay < GOOD_REPLAYS; replay++) acceptedGood += await replayGood(client, good);
  await Promise.all(mutations);

  const before = await untilMaterialized(server);
  acceptedGood += await replayGood(client, good);
  await client.close();
  const status = await untilMaterialized(server);
  t.diagnostic(`answers: ${JSON.stringify(Object.fromEntries(answers))}`);
  for (const answer of answers.keys()) {
    assert.match(
      answer,
      /^(OTAP (OK|INVALID_ARGUMENT)\/(OK|INVALID_ARGUMENT)|gRPC (OK|INVALID_ARGUMENT)|HTTP (200|400|413))$/,
      `seed ${SEED}`,
    );
  }
  // All ways out are taken, else the damage does not reach what it is for.
  for (const answer of ['OTAP OK/OK', 'gRPC OK', 'gRPC INVALID_ARGUMENT', 'HTTP 200', 'HTTP 400']) {
    assert.ok(answers.has(answer), `${answer} (seed ${SEED})`);
  }
  assert.ok([...answers.keys()].some((answer) => answer.startsWith('OTAP INVALID_ARGUMENT')));

  assert.equal(server.child.exitCode, null);
  assert.equal((await fetch(`http://${server.http}/readyz`)).status, 200, JSON.stringify(status));
  assert.doesNotMatch(server.stderr(), /Engine (died|will be started again)/);
  const rss = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${server.child.pid}/status`, 'utf8'))![1]) * 1024;
  assert.ok(rss < RSS_MAX_BYTES, `peak RSS ${rss}`);
  const [[logs, spans]] = (await fetchSql(
    server,
    `SELECT (SELECT count(*) FROM logs WHERE entry_offset >= ${before.durableOffset}),
            (SELECT count(*) FROM spans WHERE entry_offset >= ${before.durableOffset})`,
  )) as [[string, string]];
  assert.deepEqual({ logs: Number(logs), spans: Number(spans) }, GOOD_ROWS);

  assert.equal(await server.end('SIGTERM'), 0);
  const found: EntriesFound = await assertAccounted(t, server.data, `seed ${SEED}`);
  t.diagnostic(`${accepted} + ${acceptedGood} accepted, found: ${JSON.stringify(found)}`);
  assert.equal(found.batches + found.requests, accepted + acceptedGood, `entries of the log (seed ${SEED})`);
  assert.ok(found.quarantined > 0, 'no accepted batch was undecodable: the damage does not reach the values');
});

test(`${MUTATIONS - OVER_SOCKETS} damaged inputs that pass inspection decode or are refused by name (seed ${SEED})`, async (t) => {
  await initZstd();
  const random = seededRandom(SEED + 1);
  const counts = { refused: 0, undecodable: 0, decoded: 0, requestsRefused: 0, requestsDecoded: 0 };
  for (let left = MUTATIONS - OVER_SOCKETS; left > 0; left--) {
    if (random.below(3) > 0) counts[passBatch(random)]++;
    else counts[passRequest(random)]++;
  }
  t.diagnostic(JSON.stringify(counts));
  assert.ok(Math.min(...Object.values(counts)) > MUTATIONS / 100, `${JSON.stringify(counts)} (seed ${SEED})`);
});

/** Inspects a stream with a damaged message in it, and decodes what passes. */
function passBatch(random: Random): 'refused' | 'undecodable' | 'decoded' {
  const { arrowSignal, messages } = random.pick(streams);
  const index = random.below(Math.min(messages.length, MESSAGES_BEFORE_MAX + 1));
  const inspector = createStreamInspector(arrowSignal);
  const decoder = createStreamDecoder(arrowSignal);
  for (const message of messages.slice(0, index)) {
    inspector.inspect(message);
    decoder.decode(message);
  }
  let { content } = damageBatch(messages[index]!, random, { compressed: false });
  try {
    content = Buffer.concat(inspector.inspect(content).record);
  } catch (error) {
    assertNamed(error);
    return 'refused';
  }
  try {
    checkBatch(decoder.decode(content));
    return 'decoded';
  } catch (error) {
    assertNamed(error);
    return 'undecodable';
  }
}

/** What inspection lets pass decodes, with the rows that it counted. */
function passRequest(random: Random): 'requestsRefused' | 'requestsDecoded' {
  const { signal, body, contentType } = random.pick(requests);
  const { content } = damageRequest(body, random, { compressed: false });
  let rows: number;
  try {
    ({ rows } = inspectOtlp(signal, content, contentType));
  } catch (error) {
    assertNamed(error);
    return 'requestsRefused';
  }
  const batch = decodeOtlp(signal, content, contentType);
  checkBatch(batch);
  if (batch.signal !== 'metrics') {
    assert.equal(batch.signal === 'logs' ? batch.logs.rowCount : batch.spans.rowCount, rows, `seed ${SEED}`);
  }
  return 'requestsDecoded';
}

function assertNamed(error: unknown): void {
  if (error instanceof BatchMalformedError || error instanceof BatchTooLargeError) return;
  throw new Error(`Something else than a refusal (seed ${SEED})`, { cause: error });
}

interface Sent {
  readonly answer: string;
  /** How often it was told that something is durable. */
  readonly accepted: number;
}

/** Sends good messages and a damaged one of the same stream; answers `status of the damaged one/status of the RPC`. */
async function sendBatch(client: OtapClient, random: Random): Promise<Sent> {
  const { arrowSignal, messages } = random.pick(streams);
  const index = random.below(Math.min(messages.length, MESSAGES_BEFORE_MAX + 1));
  const damaged = damageBatch(messages[index]!, random);
  const stream = client.openStream(arrowSignal, { encoding: damaged.encoding });
  for (const message of messages.slice(0, index)) await stream.send(message);
  await sendContent(stream.call, damaged);
  stream.halfClose();
  const end = await stream.ended;
  // Statuses may overtake each other: a refusal need not wait for the disk.
  const accepted = stream.statuses.filter((status) => status.code === OK).length;
  assert.ok(accepted >= index, `${index - accepted} of ${index} good messages before the bad one were not accepted`);
  const refusal = stream.statuses.find((status) => status.code !== OK);
  const answer = refusal?.code ?? (accepted > index ? OK : end.code);
  // A batch that is malformed ends its stream.
  if (refusal !== undefined) assert.equal(end.code, INVALID_ARGUMENT, `the stream behind: ${refusal.message}`);
  return { answer: `${nameOf(answer)}/${nameOf(end.code)}`, accepted };
}

async function sendGrpc(client: OtapClient, { signal, body }: CapturedRequest, random: Random): Promise<Sent> {
  const damaged = damageRequest(body, random);
  const call = client.call(OTLP_GRPC_PATHS[signal], { encoding: damaged.encoding });
  await sendContent(call, damaged);
  call.halfClose();
  const { code } = await call.ended;
  // What has nothing in it is OK, and not logged.
  return { answer: nameOf(code), accepted: code === OK && damaged.content.length > 0 ? 1 : 0 };
}

async function sendHttp(
  http: OtlpHttpClient,
  { signal, body, contentType }: CapturedRequest,
  random: Random,
): Promise<Sent> {
  const { content, encoding, isEncoded } = damageRequest(body, random);
  const { status } = await http.export(
    signal,
    content,
    isEncoded ? { contentType, headers: { 'content-encoding': encoding } } : { contentType, encoding },
  );
  return { answer: String(status), accepted: status === 200 && content.length > 0 ? 1 : 0 };
}

function sendContent(
  call: { send(message: Uint8Array): Promise<void>; sendFrame(content: Uint8Array, flags: number): Promise<void> },
  { content, isEncoded }: DamagedMessage,
): Promise<void> {
  return isEncoded ? call.sendFrame(content, 1) : call.send(content);
}

function nameOf(code: number): string {
  if (code === OK) return 'OK';
  return code === INVALID_ARGUMENT ? 'INVALID_ARGUMENT' : `code ${code}`;
}

/** Returns the number of batches, all of which were accepted. */
async function replayGood(client: OtapClient, good: ReturnType<typeof hostileStreams>): Promise<number> {
  let accepted = 0;
  for (const { statuses, end } of await replayStreams(client, good, { encoding: 'zstdarrow5' })) {
    assert.deepEqual([end.code, statuses.filter((status) => status.code !== OK)], [OK, []], `seed ${SEED}`);
    accepted += statuses.length;
  }
  return accepted;
}
