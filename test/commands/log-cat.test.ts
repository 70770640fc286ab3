/**
 * Goal: `treasury log cat` and `ls` show what is in a log exactly: facts, records, rows, gaps.
 * Method: the real command on logs with known requests and with real captures.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import { decodedRows, unattachedRows } from '../../src/commands/decoded-rows.ts';
import { createDirectoryDecoder } from '../../src/commands/directory-decoder.ts';
import { SIGNAL_CODES } from '../../src/base/index.ts';
import { ENTRY_KINDS, readEntries } from '../../src/log/index.ts';
import { appendCapture } from '../helpers/engine-log.ts';
import { appendJson, logsRequest, makeLog, ONE_ENTRY_A_SEGMENT, openLogOf, segmentOf } from './log-directories.ts';
import { runTreasury, temporaryDirectory } from './process.ts';

const SPAN = {
  resourceSpans: [
    {
      schemaUrl: 'https://r',
      resource: { attributes: [{ key: 'service.name', value: { stringValue: 'shop' } }], droppedAttributesCount: 2 },
      scopeSpans: [
        {
          schemaUrl: 'https://s',
          scope: { name: 'scope', version: '1', attributes: [{ key: 'a', value: { boolValue: true } }] },
          spans: [
            {
              traceId: '0102030405060708090a0b0c0d0e0f10',
              spanId: '0102030405060708',
              name: 'GET "x"\n',
              kind: 2,
              startTimeUnixNano: '18446744073709551615',
              endTimeUnixNano: '18446744073709551615',
              attributes: [
                { key: 'int', value: { intValue: '-9223372036854775808' } },
                { key: 'nan', value: { doubleValue: 'NaN' } },
                { key: 'bytes', value: { bytesValue: 'AAEC' } },
                {
                  key: 'map',
                  value: { kvlistValue: { values: [{ key: 'k', value: { intValue: '9007199254740993' } }] } },
                },
                { key: 'list', value: { arrayValue: { values: [{ stringValue: 'x' }, { boolValue: false }] } } },
                { key: 'none' },
              ],
              events: [{ timeUnixNano: '5', name: 'e', attributes: [{ key: 'ek', value: { stringValue: 'ev' } }] }],
              links: [{ traceId: 'ff02030405060708090a0b0c0d0e0f10', spanId: 'ff02030405060708' }],
            },
          ],
        },
      ],
    },
  ],
};

const SPAN_ROW = {
  offset: '0',
  row: 0,
  resource: {
    schemaUrl: 'https://r',
    droppedAttributesCount: 2,
    attributes: [{ key: 'service.name', type: 'string', value: 'shop' }],
  },
  scope: { name: 'scope', version: '1', schemaUrl: 'https://s', attributes: [{ key: 'a', type: 'bool', value: true }] },
  record: {
    startTimeUnixNano: '18446744073709551615',
    durationTimeUnixNano: '0',
    traceId: '0102030405060708090a0b0c0d0e0f10',
    spanId: '0102030405060708',
    name: 'GET "x"\n',
    kind: 2,
    attributes: [
      { key: 'int', type: 'int', value: '-9223372036854775808' },
      { key: 'nan', type: 'double', value: 'NaN' },
      { key: 'bytes', type: 'bytes', value: 'AAEC' },
      { key: 'map', type: 'map', value: '{"k":9007199254740993}' },
      { key: 'list', type: 'array', value: '["x",false]' },
      { key: 'none', type: 'empty', value: null },
    ],
    events: [{ timeUnixNano: '5', name: 'e', attributes: [{ key: 'ek', type: 'string', value: 'ev' }] }],
    links: [{ traceId: 'ff02030405060708090a0b0c0d0e0f10', spanId: 'ff02030405060708', attributes: [] }],
  },
};

test('log cat --decoded gives every value exactly, as JSON and as text', async (context) => {
  const data = temporaryDirectory(context);
  const log = await openLogOf(data);
  const record = Buffer.from(JSON.stringify(SPAN));
  const headers = new Map([['content-type', 'application/json']]);
  await log.appendOtlp(SIGNAL_CODES.traces, { batchId: 0n, record: [record], headers });
  await log.close();
  const json = await runTreasury(['log', 'cat', '--offset', '0', '--decoded', '--format', 'json', '--data', data]);
  assert.equal(json.code, 0, json.stderr);
  const [facts, row, ...more] = json.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(more, []);
  assert.deepEqual(
    [facts!['kind'], facts!['signal'], facts!['headers']],
    ['OTLP', 'traces', { 'content-type': 'application/json' }],
  );
  assert.deepEqual(withoutDefaults(row), withoutDefaults(SPAN_ROW));
  const { stdout } = await runTreasury(['log', 'cat', '0', '--decoded', '--data', data]);
  for (const line of [
    '        int (int): -9223372036854775808',
    '        map (map): "{\\"k\\":9007199254740993}"',
    '      name: "GET \\"x\\"\\n"',
    '      startTimeUnixNano: 18446744073709551615 (2554-07-21T23:34:33.709551615Z)',
    '      events 0',
    '          ek (string): "ev"',
  ]) {
    assert.ok(stdout.split('\n').includes(line), `${line}\n${stdout}`);
  }
});

/** Zeros and empty strings may be in a column or the column may be absent. */
function withoutDefaults(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDefaults);
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value).filter(
    ([name, field]) => field !== 0 && field !== '' && (field !== '0' || name === 'offset'),
  );
  return Object.fromEntries(fields.map(([name, field]) => [name, withoutDefaults(field)]));
}

test('log cat --raw writes the record byte by byte, and --limit counts entries', async (context) => {
  const data = temporaryDirectory(context);
  await makeLog(data, 4);
  const raw = await runTreasury(['log', 'cat', '--offset', '2', '--raw', '--data', data]);
  assert.equal(raw.stdout, logsRequest('body 2').toString());
  const two = await runTreasury(['log', 'cat', '1', '--limit', '2', '--data', data]);
  assert.deepEqual(
    two.stdout.split('\n').map((line) => line.split(' ')[0]),
    ['1', '2', ''],
  );
  assert.match(two.stdout, /OTLP logs .* bytes=\d+ headers=\{"content-type":"application\/json"\}\n/);
  const all = await runTreasury(['log', 'cat', '--data', data]);
  assert.equal(all.stdout.trimEnd().split('\n').length, 4);
});

test('log cat refuses offsets that the log does not hold with both bounds', async (context) => {
  const data = temporaryDirectory(context);
  await makeLog(data, 3, ONE_ENTRY_A_SEGMENT);
  rmSync(segmentOf(data, 0));
  for (const offset of ['0', '3', '18446744073709551615']) {
    const { code, stdout, stderr } = await runTreasury(['log', 'cat', '--offset', offset, '--data', data]);
    assert.deepEqual([code, stdout], [1, '']);
    assert.equal(stderr, `treasury: Cannot read from offset ${offset}: the log holds 1 to 3 (exclusive)\n`);
  }
});

test('log cat tells lost entries, and never shows another in the place of one', async (context) => {
  const data = temporaryDirectory(context);
  await makeLog(data, 4, ONE_ENTRY_A_SEGMENT);
  rmSync(segmentOf(data, 1));
  const listed = await runTreasury(['log', 'cat', '--data', data]);
  assert.deepEqual(
    listed.stdout.split('\n').map((line) => line.split(' ')[0]),
    ['0', '2', '3', ''],
  );
  assert.match(listed.stderr, /Entries 1 to 2 \(exclusive\) are lost or hold nothing/);
  for (const flag of ['--raw', '--decoded']) {
    const asked = await runTreasury(['log', 'cat', '--offset', '1', flag, '--data', data]);
    assert.deepEqual([asked.code, asked.stdout], [1, '']);
    assert.match(asked.stderr, /Cannot read entry 1/);
  }
});

test('log cat --decoded says why an entry has no rows, and ends with 1', async (context) => {
  const data = temporaryDirectory(context);
  const log = await openLogOf(data);
  await appendJson(log, Buffer.from('{'));
  await log.close();
  const { code, stdout } = await runTreasury(['log', 'cat', '0', '--decoded', '--data', data]);
  assert.equal(code, 1);
  assert.match(stdout, /\n {2}undecodable: /);
});

test('decoded rows hold every row of every table of a batch, whatever segment it is in', async (context) => {
  const data = temporaryDirectory(context);
  const log = await openLogOf(data, ONE_ENTRY_A_SEGMENT);
  for (const name of ['rich-1', 'odd-1', 'empties-1']) await appendCapture(log, name);
  await log.close();
  const decoder = await createDirectoryDecoder(`${data}/log`);
  let batches = 0;
  for (const entry of readEntries(`${data}/log`, { from: 0n })) {
    const batch = decoder.decode(entry);
    assert.notEqual(typeof batch, 'string');
    if (batch === null || typeof batch === 'string') continue;
    batches++;
    assert.equal(entry.kind, ENTRY_KINDS.BAR);
    const rows = [...decodedRows(batch)];
    const unattached = unattachedRows(batch);
    const found = { attributes: 0, events: 0, links: 0, points: 0 };
    for (const { record } of rows) count(record, found);
    const tables = batch as unknown as Record<string, { rowCount: number } | null>;
    const rowsOf = (...names: string[]) =>
      names.reduce((sum, name) => sum + (tables[name]?.rowCount ?? 0) - (unattached[name] ?? 0), 0);
    const expected = {
      events: rowsOf('spanEvents'),
      links: rowsOf('spanLinks'),
      points: rowsOf('numberDataPoints', 'summaryDataPoints', 'histogramDataPoints', 'expHistogramDataPoints'),
    };
    assert.deepEqual({ events: found.events, links: found.links, points: found.points }, expected);
    const attributeTables = Object.keys(tables).filter(
      (name) => name.endsWith('Attrs') && !/^(resource|scope)/.test(name),
    );
    assert.equal(found.attributes, rowsOf(...attributeTables));
  }
  assert.ok(batches > 20);
});

function count(tree: unknown, found: { attributes: number; events: number; links: number; points: number }): void {
  if (typeof tree !== 'object' || tree === null) return;
  for (const [name, value] of Object.entries(tree)) {
    if (!Array.isArray(value)) continue;
    if (name === 'attributes') found.attributes += value.length;
    if (name === 'events') found.events += value.length;
    if (name === 'links') found.links += value.length;
    if (name.endsWith('DataPoints')) found.points += value.length;
    for (const item of value) count(item, found);
  }
}

test('log ls shows offsets, signals, gaps and what was deleted', async (context) => {
  const data = temporaryDirectory(context);
  const log = await openLogOf(data, ONE_ENTRY_A_SEGMENT);
  for (let i = 0; i < 5; i++) await appendJson(log, logsRequest(`body ${i}`));
  await log.close();
  rmSync(segmentOf(data, 0));
  // The next start records that the beginning is gone.
  await (await openLogOf(data)).close();
  rmSync(segmentOf(data, 3));
  const { stdout } = await runTreasury(['log', 'ls', '--data', data]);
  assert.match(stdout, /00000000000000000001\.arrows +1-1 +1 +1 +\d+ +sealed +logs /);
  assert.match(stdout, /\nEntries 0 to 1 \(exclusive\) were deleted at \S+ \(unrecorded/);
  assert.match(stdout, /\nOffsets 3 to 4 \(exclusive\) are missing\n/);
  const json = await runTreasury(['log', 'ls', '--format', 'json', '--data', data]);
  const segments = json.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    segments.map(({ baseOffset, gaps, signals }) => [baseOffset, gaps, signals]),
    [
      ['1', [{ from: '0', to: '1', why: 'deleted' }], ['logs']],
      ['2', [], ['logs']],
      ['4', [{ from: '3', to: '4', why: 'lost' }], ['logs']],
    ],
  );
});
