/**
 * Goal: what goes into a Collector comes out of another one as it was, with this server and its log between them.
 * Method: real processes all the way. A generator feeds a stock Collector; its `otelarrow` exporter, as it comes, sends to a server;
 * exporters of that server, made as users make them, send to further Collectors with stock receivers, each protocol from the start of the
 * log and from its middle; their file exporters keep the OTLP that arrives.
 * Invariant: from the start it equals the OTLP that went into the first Collector, from the middle the entries from there, order-free
 * on all fields; nothing comes twice.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { SIGNALS } from '../../src/base/index.ts';
import { ENTRY_KINDS, readEntries } from '../../src/log/index.ts';
import { runTreasury } from '../commands/process.ts';
import { assertSameRows, untilQuiet, untilRows } from '../helpers/collector-tables.ts';
import { collectorTools, generate, startCollector } from '../helpers/collector.ts';
import { assertSmooth, createExporter, untilSent } from '../helpers/exporter-api.ts';
import { logRows } from '../helpers/log-rows.ts';
import {
  COLLECTOR_PROTOCOLS,
  type CollectorProtocol,
  received,
  startReceiver,
  withoutRepeatedKeys,
} from '../helpers/receiving-collector.ts';
import { scratchDirectory, type ServerProcess, startServerProcess } from '../helpers/server-process.ts';

const SCHEMES: Readonly<Record<CollectorProtocol, string>> = {
  otap: 'otap',
  'otlp-grpc': 'otlp',
  'otlp-http': 'otlp+http',
};
/** Fields of all kinds, columns that come with time, dictionaries that grow. */
const SCENARIOS = [
  ['-scenario', 'rich', '-pause', '100ms'],
  ['-scenario', 'evolve', '-pause', '100ms'],
  ['-scenario', 'empties', '-pause', '100ms'],
  ['-scenario', 'steady', '-rows', '1500', '-pause', '100ms'],
];

const tools = collectorTools();
const skip = typeof tools === 'string' ? tools : false;
if (typeof tools === 'string') process.stderr.write(`SKIPPED: from Collector to Collector: ${tools}\n`);

test('a Collector has from a server what another Collector sent it, from the start and the middle', {
  skip,
}, async (t) => {
  if (typeof tools === 'string') throw new Error(tools);
  const directory = scratchDirectory(t);
  const data = join(directory, 'data');
  const first = await startServerProcess(data);
  t.after(() => first.end('SIGKILL'));
  const origin = await startCollector(tools, first.grpc, join(directory, 'origin'));
  t.after(() => origin.end('SIGKILL'));
  const sent = { logs: 0, traces: 0, metrics: 0 };
  for (const [seed, scenario] of SCENARIOS.entries()) {
    const items = await generate(tools, origin.otlp, [...scenario, '-seed', String(seed + 1)]);
    for (const signal of SIGNALS) sent[signal] += items[signal];
  }
  await untilRows(first, sent);
  await untilQuiet(first);
  await origin.end('SIGTERM');
  assert.equal(await first.end('SIGTERM'), 0, first.stderr());
  const all = await logRows(join(data, 'log'), 0n);
  for (const signal of SIGNALS) assertSameRows(all[signal], origin.received(signal), `${signal} in the log`);

  const whole = await Promise.all(
    COLLECTOR_PROTOCOLS.map((name) => startReceiver(t, join(directory, `whole-${name}`))),
  );
  const late = await Promise.all(COLLECTOR_PROTOCOLS.map((name) => startReceiver(t, join(directory, `late-${name}`))));
  const flags = COLLECTOR_PROTOCOLS.flatMap((protocol, i) => [
    '--export',
    `whole-${protocol}=${SCHEMES[protocol]}://${whole[i]!.addresses[protocol]}?from=start`,
  ]);
  const server = await startServerProcess(data, '127.0.0.1:0', flags);
  t.after(() => server.end('SIGKILL'));
  const middle = middleOf(join(data, 'log'));
  for (const [i, protocol] of COLLECTOR_PROTOCOLS.entries()) {
    await exportFrom(server, middle, { protocol, address: late[i]!.addresses[protocol] });
  }
  const rows = await logRows(join(data, 'log'), middle);
  for (const [i, protocol] of COLLECTOR_PROTOCOLS.entries()) {
    for (const name of ['whole', 'late']) assertSmooth(await untilSent(server, `${name}-${protocol}`));
    await whole[i]!.collector.end('SIGTERM');
    await late[i]!.collector.end('SIGTERM');
  }
  assert.equal(await server.end('SIGTERM'), 0, server.stderr());
  for (const [i, protocol] of COLLECTOR_PROTOCOLS.entries()) {
    for (const signal of SIGNALS) {
      const expected = origin.received(signal).map(withoutRepeatedKeys);
      assert.ok(expected.length > rows[signal].length && rows[signal].length > 0, `${signal}: nothing to tell apart`);
      assertSameRows(received(signal, whole[i]!), expected, `${signal} by ${protocol}`);
      const fromMiddle = rows[signal].map(withoutRepeatedKeys);
      assertSameRows(received(signal, late[i]!), fromMiddle, `${signal} by ${protocol} from offset ${middle}`);
    }
  }
  t.diagnostic(
    `middle: offset ${middle}; ${SIGNALS.map((signal) => `${all[signal].length} rows of ${signal}`).join(', ')}`,
  );
});

/** The first batch in the later half of the log that needs what its stream has sent before. */
function middleOf(log: string): bigint {
  const bars = [...readEntries(log, { from: 0n })].filter(({ kind }) => kind === ENTRY_KINDS.BAR);
  const half = (bars.at(-1)?.offset ?? 0n) / 2n;
  const middle = bars.find(
    ({ offset, streamId }) => offset >= half && bars.some((one) => one.streamId === streamId && one.offset < offset),
  );
  assert.ok(middle !== undefined, 'no stream goes on behind the middle');
  return middle.offset;
}

/** In each of the ways that there are: made there, rewound over HTTP, made by the command. */
async function exportFrom(
  server: ServerProcess,
  offset: bigint,
  { protocol, address }: { protocol: CollectorProtocol; address: string },
): Promise<void> {
  const name = `late-${protocol}`;
  const endpoint = `http://${address}`;
  switch (protocol) {
    case 'otap':
      return createExporter(server, { name, protocol, endpoint, from: String(offset) });
    case 'otlp-grpc': {
      await createExporter(server, { name, protocol, endpoint, from: 'end' });
      const url = `http://${server.http}/treasury/v1/exporters/${name}/rewind`;
      const response = await fetch(url, { method: 'POST', body: JSON.stringify({ offset: Number(offset) }) });
      assert.equal(response.status, 200, await response.text());
      return;
    }
    case 'otlp-http': {
      const url = `${SCHEMES[protocol]}://${address}?from=${offset}`;
      const { code, stderr } = await runTreasury(['push', 'create', name, url, '--server', `http://${server.http}`]);
      assert.equal(code, 0, stderr);
    }
  }
}
