/** `treasury status`. */
import type { Config } from '../config.ts';
import { ask } from './client.ts';
import { tableText } from './table.ts';

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
  }[];
  readonly log: { readonly bytes: number; readonly segments: number; readonly refusing: string | null };
  readonly engine: {
    readonly running: boolean;
    readonly reason: string | null;
    readonly tableBytes?: number;
    readonly stuck?: string | null;
  };
  readonly quarantine: { readonly total: number | null };
}

/** Writes the server's status to stdout: a summary, or all of it with `--format json`. Throws TreasuryError. */
export async function status({ server, format }: Config): Promise<number> {
  const response = await ask(server, '/treasury/v1/status');
  const body = (await response.json()) as StatusBody;
  process.stdout.write(format === 'json' ? `${JSON.stringify(body, null, 2)}\n` : summary(body));
  return 0;
}

function summary(body: StatusBody): string {
  const { log, engine, quarantine } = body;
  const facts = tableText(
    ['what', 'value'],
    [
      ['version', body.version],
      ['offsets', `${body.firstOffset} to ${body.nextOffset} (exclusive), durable below ${body.durableOffset}`],
      [
        'log',
        `${log.segments} segments, ${log.bytes} bytes${log.refusing === null ? '' : `, refusing: ${log.refusing}`}`,
      ],
      ['tables', `${engine.tableBytes ?? 'unknown'} bytes`],
      ['engine', engine.running ? (engine.stuck ?? engine.reason ?? 'running') : `down: ${engine.reason}`],
      ['quarantined entries', quarantine.total ?? 'unknown'],
    ],
  );
  const projections = tableText(
    ['projection', 'version', 'materialized offset', 'lag', 'rows written'],
    body.projections.map((each) => [each.name, each.version, each.materializedOffset, each.lag, each.rowsWritten]),
  );
  return `${facts}\n${projections}`;
}
