/**
 * Goal: known attacks on every layer that reads what is sent are answered as documented, and leave nothing behind.
 * Method: the files of test/fixtures/hostile, each named by what is wrong with it, are sent to one real server: as an OTAP stream, as an
 * OTLP request over gRPC and HTTP, or as all that a connection says. The table of that folder's README says how, and what is answered.
 * A good batch follows each. scripts/hostile-inputs.ts makes the files. Beside: malformed-input.test.ts (seeded damage),
 * oversized-input.test.ts (what is too large to be a file).
 * Invariant: the answer is the documented one; the process is the same one at the end, below a bound of memory, and so is its engine; each
 * good batch is taken; the tables hold the good rows and those that the table tells, in quarantine are the batches that it tells.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { exportRequest } from '../api/grpc/otlp-messages.ts';
import { ARROW_PATHS, connectOtap, decodeBatchStatus, type OtapClient } from '../helpers/otap-client.ts';
import { createOtlpHttpClient, exportGrpc, OTLP_GRPC_PATHS, type OtlpHttpClient } from '../helpers/otlp-client.ts';
import {
  fetchSql,
  scratchDirectory,
  type ServerProcess,
  startServerProcess,
  untilMaterialized,
} from '../helpers/server-process.ts';

const FOLDER = fileURLToPath(new URL('../fixtures/hostile/', import.meta.url));
/** All of the corpus on the disk. */
const CORPUS_BYTES_MAX = 200 * 1024;
/** The largest message decompressed, several times over; the bombs are worth four times as much. */
const GROWTH_MAX_BYTES = 384 * 1024 * 1024;
const GOOD_ROWS = 2;

/** A row of the README's table. */
interface HostileInput {
  readonly file: string;
  readonly content: Buffer;
  /** `OTAP`, `OTLP`, `JSON`, `HTTP/2` or `HTTP/1.1`. */
  readonly protocol: string;
  /** Of the message or the body; `identity` without one. */
  readonly encoding: string;
  /** As the sender sees it. */
  readonly answer: string;
  /** What becomes of it: rows in the tables, or an entry in quarantine. */
  readonly rows: number;
  readonly isQuarantined: boolean;
}

test('hostile corpus is answered as documented and leaves nothing behind', async (t) => {
  const inputs = readTable();
  const named = inputs.map(({ file }) => `${file}.bin`).toSorted();
  assert.deepEqual(
    named,
    readdirSync(FOLDER)
      .filter((name) => name !== 'README.md')
      .toSorted(),
  );
  const bytes = inputs.reduce((sum, { content }) => sum + content.length, 0);
  assert.ok(bytes <= CORPUS_BYTES_MAX, `the corpus has ${bytes} bytes`);

  const server = await startServerProcess(scratchDirectory(t));
  t.after(() => server.end('SIGKILL'));
  const senders = { otap: await connectOtap(server.grpc), http: await createOtlpHttpClient(server.otlpHttp), server };
  t.after(() => {
    senders.otap.destroy();
    senders.http.close();
  });
  const expected = { rows: 0, quarantined: 0 };
  const sendGood = async (file: string): Promise<void> => {
    const { code, message } = await exportGrpc(senders.otap, 'logs', exportRequest('logs', { rows: GOOD_ROWS }));
    assert.equal(code, 0, `the good batch behind ${file}: ${message}`);
    expected.rows += GOOD_ROWS;
  };
  await sendGood('nothing');
  const idleBytes = residentBytes(server, 'VmRSS');
  const wrong: string[] = [];
  for (const input of inputs) {
    const answer = await send(senders, input);
    if (answer !== input.answer) wrong.push(`${input.file}: ${answer} instead of ${input.answer}`);
    expected.rows += input.rows;
    expected.quarantined += input.isQuarantined ? 1 : 0;
    assert.equal(server.child.exitCode, null, `${input.file} ended the server\n${server.stderr()}`);
    await sendGood(input.file);
  }
  assert.deepEqual(wrong, []);

  const status = await untilMaterialized(server);
  const grown = residentBytes(server, 'VmHWM') - idleBytes;
  t.diagnostic(`${inputs.length} inputs, ${bytes} bytes; memory grew by ${grown} bytes at most`);
  assert.ok(grown < GROWTH_MAX_BYTES, `memory grew by ${grown} bytes`);
  assert.equal((await fetch(`http://${server.http}/readyz`)).status, 200, JSON.stringify(status));
  assert.doesNotMatch(server.stderr(), /Engine (died|will be started again)/);
  const rows = await fetchSql(
    server,
    `SELECT (SELECT count(*) FROM logs), (SELECT count(*) FROM spans), (SELECT count(*) FROM meta.quarantine)`,
  );
  assert.deepEqual(rows[0]!.map(Number), [expected.rows, 0, expected.quarantined]);
  assert.equal(await server.end('SIGTERM'), 0, server.stderr());
});

function readTable(): HostileInput[] {
  const lines = readFileSync(`${FOLDER}README.md`, 'utf8').split('\n');
  return lines
    .filter((line) => line.startsWith('| `'))
    .map((line) => {
      const [file, sent, answer, after] = line
        .split('|')
        .slice(1)
        .map((cell) => cell.trim().replaceAll('`', '')) as [string, string, string, string];
      const [protocol, encoding = 'identity'] = sent.split(', ') as [string, string?];
      const rows = /^(\d+) rows?\b/.exec(after)?.[1];
      const isQuarantined = after.startsWith('quarantine');
      const content = readFileSync(`${FOLDER}${file}.bin`);
      return { file, content, protocol, encoding, answer, rows: Number(rows ?? 0), isQuarantined };
    });
}

interface Senders {
  readonly otap: OtapClient;
  readonly http: OtlpHttpClient;
  readonly server: ServerProcess;
}

/** Sends an input; how it was answered. */
async function send({ otap, http, server }: Senders, input: HostileInput): Promise<string> {
  const { content, protocol, encoding } = input;
  switch (protocol) {
    case 'OTAP':
      return sendStream(otap, input);
    case 'OTLP': {
      const call = otap.call(OTLP_GRPC_PATHS.logs, encoding === 'identity' ? {} : { encoding });
      await call.sendFrame(content, encoding === 'identity' ? 0 : 1);
      call.halfClose();
      const { code } = await call.ended;
      const { status } = await http.export('logs', content, encodedAs(encoding));
      return `${code} / ${status}`;
    }
    case 'JSON': {
      const contentType = 'application/json';
      return String((await http.export('logs', content, { ...encodedAs(encoding), contentType })).status);
    }
    case 'HTTP/2':
      return sayAll(server.grpc, content);
    case 'HTTP/1.1':
      return sayAll(server.otlpHttp, content);
    default:
      throw new Error(`Cannot send an input: the protocol is ${protocol}`);
  }
}

function encodedAs(encoding: string): { headers?: Record<string, string> } {
  return encoding === 'identity' ? {} : { headers: { 'content-encoding': encoding } };
}

/** Answers with the batch's status, if it has one, and that of the stream. */
async function sendStream(otap: OtapClient, { content, encoding }: HostileInput): Promise<string> {
  const call = otap.call(ARROW_PATHS.logs, encoding === 'identity' ? {} : { encoding });
  await call.write(content);
  // Behind the answer, where there is one: a message that is cut off by the end of its stream is another fault.
  await Promise.race([call.ended, new Promise<void>((resolve) => (call.onMessage = () => resolve()))]);
  call.halfClose();
  const { code } = await call.ended;
  const statuses = call.messages.map((message) => decodeBatchStatus(message).code);
  return [...statuses, `stream ${code}`].join(', ');
}

/**
 * Opens a connection and says all of it; answers with the first status line, `GOAWAY` when HTTP/2 is over, or `closed` when the other side
 * has ended the connection without a word.
 */
function sayAll(address: string, content: Buffer): Promise<string> {
  const [host, port] = address.split(':') as [string, string];
  return new Promise((resolve) => {
    const socket = connect(Number(port), host, () => socket.write(content));
    let received: Buffer = Buffer.alloc(0);
    const over = (answer: string): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.on('data', (part) => {
      received = Buffer.concat([received, part]);
      if (hasGoneAway(received)) over('GOAWAY');
    });
    socket.on('error', () => {});
    socket.once('close', () => over(/^HTTP\/1\.1 (\d{3})/.exec(received.toString('latin1'))?.[1] ?? 'closed'));
  });
}

const FRAME_HEADER_BYTES = 9;
const GOAWAY = 7;

function hasGoneAway(received: Buffer): boolean {
  if (received.subarray(0, 5).toString('latin1') === 'HTTP/') return false;
  for (let at = 0; at + FRAME_HEADER_BYTES <= received.length; at += FRAME_HEADER_BYTES + received.readUIntBE(at, 3)) {
    if (received[at + 3] === GOAWAY) return true;
  }
  return false;
}

function residentBytes(server: ServerProcess, figure: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${server.child.pid}/status`, 'utf8');
  return Number(new RegExp(`${figure}:\\s+(\\d+)`).exec(status)![1]) * 1024;
}
