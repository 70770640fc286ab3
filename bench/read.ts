/**
 * How fast SQL answers leave the server: over 2 million log rows as Arrow and as JSON, whole answers read over HTTP. The reference in
 * the same run is what a Node program would do without this server: node-api on the same columns, getRowObjectsJson, JSON.stringify.
 *
 *   npm run build && npm run bench:read [-- --rounds 3]
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { DuckDBInstance } from '@duckdb/node-api';
import type { LoadOptions, LoadResult } from './load.ts';
import { machine, median, runJson, sql, startServer, status } from './process.ts';

const QUERY = 'SELECT time, severity_number, severity_text, body, trace_id FROM logs';
const ROWS_PER_CAPTURE = 130_000;
const STREAMS = 2;
const REPEATS = 8;
/** The reference holds all rows as objects: fewer of them, so that it fits the heap; the rate is what counts. */
const REFERENCE_ROWS = 200_000;
const ARROW_TARGET = 800_000;

const { values: flags } = parseArgs({ options: { rounds: { type: 'string', default: '3' } } });
const rounds = Number(flags.rounds);

console.log(machine());
const server = await startServer();
await runJson<LoadResult>('load.ts', {
  endpoint: server.grpc,
  capture: 'bench-logs-1',
  streams: STREAMS,
  repeats: REPEATS,
  inFlight: 20,
  rowsPerMessage: 1000,
  rowsPerSecond: 0,
} satisfies LoadOptions);
for (let now = await status(server.http); now.materializedOffset !== now.durableOffset; now = await status(server.http))
  await sleep(100);
const rows = ROWS_PER_CAPTURE * STREAMS * REPEATS;
const [[count]] = (await sql(server.http, 'SELECT count(*) FROM logs')) as [[string]];
if (Number(count) !== rows) throw new Error(`Cannot measure: ${count} rows of ${rows} are there`);

const formats = { arrow: 'application/vnd.apache.arrow.stream', json: 'application/json' } as const;
const rates: Record<keyof typeof formats, number[]> = { arrow: [], json: [] };
const references: number[] = [];
const reference = await openReference();
for (let round = 0; round < rounds; round++) {
  for (const [format, accept] of Object.entries(formats) as [keyof typeof formats, string][]) {
    const before = server.cpuSeconds();
    const started = performance.now();
    const bytes = await readAll(accept);
    const seconds = (performance.now() - started) / 1000;
    rates[format].push(rows / seconds);
    const cpu = ((server.cpuSeconds() - before) * 1e6) / rows;
    console.log(
      `  ${format}: ${(rows / seconds / 1e6).toFixed(2)} M rows/s, ${(bytes / seconds / 1e6).toFixed(0)} MB/s, ${cpu.toFixed(2)} us CPU a row`,
    );
  }
  references.push(await reference.rate());
}
const slow = median(references);
console.log(`${rows} rows, 5 columns, ${rounds} rounds, peak RSS ${(server.rssPeakBytes() / 2 ** 20).toFixed(0)} MiB`);
console.log(
  `arrow: ${(median(rates.arrow) / 1e6).toFixed(2)} M rows/s (target ${ARROW_TARGET / 1e6}), ${(median(rates.arrow) / slow).toFixed(1)} x the reference`,
);
console.log(
  `json: ${(median(rates.json) / 1e6).toFixed(2)} M rows/s, ${(median(rates.json) / slow).toFixed(1)} x the reference`,
);
console.log(`reference (node-api rows to JSON, ${REFERENCE_ROWS} rows in memory): ${(slow / 1e6).toFixed(2)} M rows/s`);
reference.close();
await server.stop();

/** Reads a whole answer over HTTP and returns its length. */
async function readAll(accept: string): Promise<number> {
  const response = await fetch(`http://${server.http}/treasury/v1/sql`, {
    method: 'POST',
    headers: { accept },
    body: QUERY,
  });
  if (!response.ok) throw new Error(`SQL answered ${response.status}: ${await response.text()}`);
  let bytes = 0;
  for await (const chunk of response.body!) bytes += (chunk as Uint8Array).length;
  return bytes;
}

/** The same columns in a database in memory, since a second process cannot open the server's file. */
async function openReference(): Promise<{ rate(): Promise<number>; close(): void }> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '2' });
  const connection = await instance.connect();
  await connection.run(
    `CREATE TABLE logs AS SELECT make_timestamp_ns(1700000000000000000 + i) AS time, (i % 24)::INTEGER AS severity_number,
       'INFO' AS severity_text, 'request ' || i || ' was handled' AS body, uuid() AS trace_id FROM range(${REFERENCE_ROWS}) t(i)`,
  );
  return {
    async rate() {
      const started = performance.now();
      const text = JSON.stringify((await connection.runAndReadAll(QUERY)).getRowObjectsJson());
      if (text.length === 0) throw new Error('The reference read nothing');
      return REFERENCE_ROWS / ((performance.now() - started) / 1000);
    },
    close() {
      connection.closeSync();
      instance.closeSync();
    },
  };
}
