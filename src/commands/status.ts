/** `treasury status`. */
import type { Config } from '../config.ts';
import { ask } from './client.ts';
import { bytesText, durationText } from './quantity-text.ts';
import { tableText } from './table.ts';
import { writeOut } from './write-out.ts';

interface Build {
  readonly version: number;
  readonly kind: 'new' | 'rebuild';
  readonly offset: number;
  readonly targetOffset: number;
  readonly entriesPerSecond: number | null;
  readonly estimatedEndMs: number | null;
  readonly stuck: string | null;
  /** Not there in answers of older servers. */
  readonly waiting?: 'disk' | 'retry' | null;
}

interface StatusBody {
  readonly version: string;
  readonly durableOffset: number;
  readonly firstOffset: number;
  readonly nextOffset: number;
  readonly projections: readonly {
    readonly name: string;
    readonly version: number;
    readonly materializedOffset: number;
    readonly lag: number;
    readonly rowsWritten: number;
    /** Of those of users. */
    readonly error?: string | null;
    /** Not there of those of users, and in answers of servers that know none. */
    readonly building?: Build | null;
  }[];
  readonly log: {
    readonly bytes: number;
    readonly segments: number;
    readonly refusing: string | null;
    readonly retention: {
      readonly ageMaxMs: number | null;
      readonly bytesMax: number | null;
      readonly deletedTo: number | null;
    };
  };
  readonly engine: {
    readonly running: boolean;
    readonly reason: string | null;
    readonly tableBytes?: number;
    readonly materializing?: boolean;
    readonly stuck?: string | null;
    readonly repairedStrings?: number;
    readonly retention?: {
      readonly ageMs: number | null;
      readonly rowsDeleted: Readonly<Record<string, number>>;
      readonly failing: string | null;
    };
  };
  /** Not there in answers of servers that know none. */
  readonly exporters?: {
    readonly exporters: readonly {
      readonly name: string;
      readonly state: string;
      readonly ackedOffset: number;
      readonly lag: { readonly entries: number };
      readonly error: string | null;
    }[];
    readonly faults: readonly { readonly file: string; readonly reason: string }[];
  };
  readonly lost: { readonly total: number | null };
  readonly quarantine: {
    readonly total: number | null;
    readonly newest: readonly { readonly offset: number; readonly projection: string; readonly reason: string }[];
  };
}

/** Writes the server's status to stdout: a summary, or all of it with `--format json`. Throws TreasuryError. */
export async function status({ server, format }: Config): Promise<number> {
  const response = await ask(server, '/treasury/v1/status');
  const body = (await response.json()) as StatusBody;
  await writeOut(format === 'json' ? `${JSON.stringify(body, null, 2)}\n` : summary(body));
  return 0;
}

function summary(body: StatusBody): string {
  const { log, engine, lost, quarantine } = body;
  const facts = tableText(
    ['what', 'value'],
    [
      ['version', body.version],
      ['offsets', `${body.firstOffset} to ${body.nextOffset} (exclusive), durable below ${body.durableOffset}`],
      [
        'log',
        `${log.segments} ${log.segments === 1 ? 'segment' : 'segments'}, ${bytesText(log.bytes)}${log.refusing === null ? '' : `, refusing: ${log.refusing}`}`,
      ],
      ['log keeps', keptText(log.retention)],
      ['tables', engine.tableBytes === undefined ? 'unknown' : bytesText(engine.tableBytes)],
      ['tables keep', tablesKeptText(engine.retention)],
      ['engine', engineText(engine)],
      ['offsets deleted before they were in the tables', lost.total ?? 'unknown'],
      ['quarantined entries', quarantine.total ?? 'unknown'],
      ['strings repaired since the start', engine.repairedStrings ?? 'unknown'],
    ],
  );
  const projections = tableText(
    ['projection', 'version', 'materialized offset', 'lag', 'rows written'],
    body.projections.map((each) => [each.name, each.version, each.materializedOffset, each.lag, each.rowsWritten]),
  );
  const failing = body.projections.flatMap(({ name, error }) => (error ? [[name, error]] : []));
  const tables = [
    facts,
    projections,
    ...buildTables(body.projections),
    ...(failing.length === 0 ? [] : [tableText(['projection', 'error'], failing)]),
    ...exporterTables(body.exporters),
  ];
  if (quarantine.newest.length === 0) return tables.join('\n');
  const quarantined = tableText(
    ['quarantined offset', 'projection', 'reason'],
    quarantine.newest.map((each) => [each.offset, each.projection, each.reason]),
  );
  return [...tables, quarantined].join('\n');
}

/** Left out while nothing is built. */
function buildTables(projections: StatusBody['projections']): string[] {
  const builds = projections.flatMap(({ building, ...serving }) => (building ? [{ serving, building }] : []));
  if (builds.length === 0) return [];
  const rows = builds.map(({ serving: { name, version }, building }) => [
    name,
    building.kind === 'rebuild' ? `v${version} anew` : `v${building.version} in place of v${version}`,
    building.offset,
    building.targetOffset,
    building.entriesPerSecond === null ? '' : Math.round(building.entriesPerSecond),
    building.estimatedEndMs === null ? '' : durationText(building.estimatedEndMs),
    building.waiting ?? '',
  ]);
  // Cells are cut where they are long.
  const reasons = builds.flatMap(({ serving: { name }, building: { stuck } }) =>
    stuck === null ? [] : [`${name}: ${stuck}\n`],
  );
  const table = tableText(['being built', 'version', 'offset', 'of', 'entries/s', 'about left', 'waits for'], rows);
  return [table + reasons.join('')];
}

/** Left out while there is none. */
function exporterTables({ exporters, faults }: NonNullable<StatusBody['exporters']> = NO_EXPORTERS): string[] {
  const rows = [
    ...exporters.map(({ name, state, ackedOffset, lag, error }) => [
      name,
      state,
      ackedOffset,
      lag.entries,
      error ?? '',
    ]),
    ...faults.map(({ file, reason }) => [file, 'not used', '', '', reason]),
  ];
  return rows.length === 0 ? [] : [tableText(['exporter', 'state', 'acked offset', 'lag', 'error'], rows)];
}

const NO_EXPORTERS = { exporters: [], faults: [] };

function keptText({ ageMaxMs, bytesMax, deletedTo }: StatusBody['log']['retention']): string {
  const size = bytesMax === null ? 'any size' : `up to ${bytesText(bytesMax)}`;
  const age = ageMaxMs === null ? 'any age' : `up to ${ageMaxMs / 3_600_000} h`;
  return `${size}, ${age}${deletedTo === null ? '' : `, deleted below offset ${deletedTo}`}`;
}

function tablesKeptText(retention: StatusBody['engine']['retention']): string {
  if (retention === undefined) return 'unknown';
  if (retention.ageMs === null) return 'any age';
  const deleted = Object.values(retention.rowsDeleted).reduce((sum, rows) => sum + rows, 0);
  const failing = retention.failing === null ? '' : `, failing: ${retention.failing}`;
  return `up to ${retention.ageMs / 3_600_000} h, ${deleted} rows deleted since the start${failing}`;
}

function engineText({ running, reason, materializing, stuck }: StatusBody['engine']): string {
  if (!running) return `down: ${reason}`;
  return stuck ?? reason ?? (materializing === false ? 'running, materialization is off' : 'running');
}
