/** The rows of both schemas compared with the OTLP requests that they came from: order-free, on all fields. */
import assert from 'node:assert/strict';
import type { DuckDBConnection } from '@duckdb/node-api';
import { type Signal, SIGNALS } from '../../src/base/index.ts';
import type { CaptureRecord } from './captures.ts';
import type { OffsetRange } from './duckdb-values.ts';
import { expectedRows, type ExpectedRowsOptions } from './expected-rows.ts';
import { expectedMainRows, mainRows } from './main-rows.ts';
import { normalizedRows } from './normalized-rows.ts';
import { canonicalLines } from './telemetry-rows.ts';

/** Lines of `canonicalLines` by signal and schema. */
export type ExpectedLines = Readonly<Record<Signal, { readonly normalized: string[]; readonly main: string[] }>>;

/** What the requests among the records (`t: 'otlp'`) must have become. */
export function expectedLines(records: readonly CaptureRecord[], options: ExpectedRowsOptions = {}): ExpectedLines {
  const requests = records.filter((record) => record.t === 'otlp');
  assert.ok(requests.length > 0, 'there is nothing to expect');
  const linesOf = (signal: Signal) => {
    const rows = requests
      .filter((request) => request.signal === signal)
      .flatMap((request) => expectedRows(signal, request.body, options));
    return { normalized: canonicalLines(rows), main: canonicalLines(expectedMainRows(rows)) };
  };
  return { logs: linesOf('logs'), traces: linesOf('traces'), metrics: linesOf('metrics') };
}

export interface ComparisonOptions extends ExpectedRowsOptions {
  readonly what: string;
  /** Entries that count; default all. */
  readonly range?: OffsetRange;
  /** Rows may come more than once: each expected row at least once, none that was not sent. */
  readonly isRepeated?: boolean;
}

/** Asserts that the tables hold the expected rows and no others. */
export async function assertRows(
  connection: DuckDBConnection,
  expected: ExpectedLines,
  options: ComparisonOptions,
): Promise<void> {
  for (const signal of SIGNALS) {
    const normalized = canonicalLines(await normalizedRows(connection, signal, options));
    assertSameLines(normalized, expected[signal].normalized, `${options.what} ${signal} normalized`, options);
    const main = canonicalLines(await mainRows(connection, signal, options.range));
    assertSameLines(main, expected[signal].main, `${options.what} ${signal} main`, options);
  }
}

/** Asserts that two sorted lists have the same lines. */
export function assertSameLines(
  actual: readonly string[],
  wanted: readonly string[],
  what: string,
  { isRepeated }: Pick<ComparisonOptions, 'isRepeated'> = {},
): void {
  const [lines, wantedLines] = isRepeated ? [[...new Set(actual)], [...new Set(wanted)]] : [actual, wanted];
  const surplus = without(lines, wantedLines);
  const missing = without(wantedLines, lines);
  assert.deepEqual(
    {
      surplus: surplus.slice(0, 2),
      missing: missing.slice(0, 2),
      surplusCount: surplus.length,
      missingCount: missing.length,
    },
    { surplus: [], missing: [], surplusCount: 0, missingCount: 0 },
    `${what}: ${lines.length} rows, ${wantedLines.length} expected`,
  );
}

/** The items of sorted list `a` that sorted list `b` does not have, duplicates counted. */
function without(a: readonly string[], b: readonly string[]): string[] {
  const result: string[] = [];
  for (let i = 0, j = 0; i < a.length; i++) {
    while (j < b.length && b[j]! < a[i]!) j += 1;
    if (j < b.length && b[j] === a[i]) j += 1;
    else result.push(a[i]!);
  }
  return result;
}
