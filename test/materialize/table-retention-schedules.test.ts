/**
 * Goal: whatever batches come, whenever retention runs, and however often the process begins anew, the tables hold the rows whose time
 * is not older than the limit of the last run, and nothing they refer to is missing.
 * Method: generated schedules of commits, transactions taken back, slices of runs, time that passes, restarts and replays from scratch
 * on real DuckDB files; slices of one row, so that commits fall between any two of them.
 * Invariant: at every point each row that is young enough is there once and its resource, scope and series resolve; after a run the
 * visible rows are exactly those of a model, and no resource, scope or series is left without a row.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { brokenReferences, namedLogs, namedSamples, namedSpans, visibleNames } from '../helpers/retained-batches.ts';
import {
  MINUTE,
  openRetainedTables,
  removeTables,
  type RetainedTables,
  type TestEntry,
} from '../helpers/retained-tables.ts';

const RUNS = 10;
const AGE = 60n * MINUTE;
const LIMITS_OF_TESTS = {
  retentionSliceRowsMax: 2,
  retentionScanRowsMax: 1,
  retentionKeysMax: 1,
  retentionCheckpointRows: 3,
  rewriteBytesMin: 1,
  rewriteIntervalMs: 0,
};
const KINDS = { log: namedLogs, span: namedSpans, sample: namedSamples } as const;

const directory = mkdtempSync(join(tmpdir(), 'table-retention-schedules-'));
after(() => rmSync(directory, { recursive: true }));

/** Stands for no time among minutes before the receipt. */
const NO_TIME = 1_000_000;

type Action =
  | {
      readonly type: 'batch';
      readonly kind: keyof typeof KINDS;
      readonly resource: string;
      readonly rows: readonly number[];
    }
  | { readonly type: 'pass' | 'slices'; readonly amount: number }
  | { readonly type: 'rolledBack' | 'run' | 'restart' | 'replay' };

const batch: fc.Arbitrary<Action> = fc.record({
  type: fc.constant('batch' as const),
  kind: fc.constantFrom('log', 'span', 'sample'),
  resource: fc.constantFrom('a', 'b'),
  // Minutes before the receipt.
  rows: fc.array(fc.constantFrom(0, 20, 50, 59, 70, -30, NO_TIME), { minLength: 1, maxLength: 3 }),
});
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 5, arbitrary: batch },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('pass' as const), amount: fc.integer({ min: 1, max: 50 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constant('slices' as const), amount: fc.integer({ min: 1, max: 60 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.constantFrom<Action>({ type: 'rolledBack' }, { type: 'run' }, { type: 'run' }, { type: 'restart' }),
  },
  { weight: 1, arbitrary: fc.constant<Action>({ type: 'replay' }) },
);

interface ModelRow {
  readonly name: string;
  /** What decides when it goes. */
  readonly agesFrom: bigint;
}

/** Receipts are known to the end of their minute. */
function agesFrom(time: bigint, received: bigint): bigint {
  const receipt = (received / MINUTE + 1n) * MINUTE;
  return time <= 0n || time > receipt ? receipt : time;
}

test('tables hold the rows that are young enough, after any schedule of batches, retention, restarts and replays', async (t) => {
  let runs = 0;
  let deleted = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 30 }), async (actions) => {
      const file = join(directory, 'tables.duckdb');
      const options = { ageMs: Number(AGE / 1_000_000n), limits: LIMITS_OF_TESTS };
      let tables: RetainedTables = await openRetainedTables(file, options);
      const entries: TestEntry[] = [];
      const model: ModelRow[] = [];
      const makeEntry = ({ kind, resource, rows }: Extract<Action, { type: 'batch' }>): TestEntry => {
        const named = rows.map((minutes, row) => ({
          name: `${entries.length}.${row}`,
          time: minutes === NO_TIME ? 0n : tables.now - BigInt(minutes) * MINUTE,
        }));
        for (const { name, time } of named)
          model.push({ name: `${kind} ${name}`, agesFrom: agesFrom(time, tables.now) });
        return { offset: BigInt(entries.length), receivedAtUnixNano: tables.now, batch: KINDS[kind](resource, named) };
      };
      const reopen = async (nextOffset: bigint) => {
        const { now } = tables;
        await tables.close();
        tables = await openRetainedTables(file, { ...options, nextOffset, now });
      };
      const young = () => model.filter((row) => row.agesFrom >= tables.now - AGE).map((row) => row.name);
      try {
        for (const one of [...actions, { type: 'run' } as const]) {
          switch (one.type) {
            case 'batch':
              entries.push(makeEntry(one));
              await tables.commit(entries.slice(-1));
              break;
            case 'rolledBack':
              if (entries.length > 0) {
                await tables.rollBack([{ ...entries.at(-1)!, offset: BigInt(entries.length) }]);
              }
              break;
            case 'pass':
              tables.now += BigInt(one.amount) * MINUTE;
              break;
            case 'slices':
              for (let i = 0; i < one.amount; i++) await tables.step();
              break;
            case 'restart':
              await reopen(BigInt(entries.length));
              break;
            case 'replay':
              await tables.close();
              await removeTables(file);
              tables = await openRetainedTables(file, { ...options, now: tables.now });
              if (entries.length > 0) await tables.commit(entries);
              break;
            case 'run': {
              // A run under way has its limit from before.
              const { runs: before } = tables.figures;
              await tables.retain();
              if (tables.figures.runs === before + 1) await tables.retain();
              runs++;
              deleted += Object.values(tables.figures.rowsDeleted).reduce((sum, each) => sum + each, 0);
              assert.deepEqual(await visibleNames(tables), young().toSorted());
            }
          }
          const visible = await visibleNames(tables);
          assert.equal(new Set(visible).size, visible.length, 'a row is there twice');
          assert.deepEqual(
            young().filter((name) => !visible.includes(name)),
            [],
            'a young row is missing',
          );
          const { dangling, unreferenced } = await brokenReferences(tables);
          assert.deepEqual(dangling, []);
          if (one.type === 'run') assert.deepEqual(unreferenced, []);
        }
      } finally {
        await tables.close();
        await removeTables(file);
      }
    }),
    { numRuns: RUNS },
  );
  t.diagnostic(`${runs} runs deleted ${deleted} rows`);
  assert.ok(deleted > RUNS, 'the schedules deleted too little to mean something');
});
