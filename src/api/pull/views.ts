/** Views whose rows tell their entry: what can be pulled. */
import type { Engine } from '../../materialize/index.ts';
import { HttpError } from '../http/http-error.ts';
import { rowsOf } from './offsets.ts';

/** A view as statements name it. All texts are quoted. */
export interface PulledView {
  /** As asked for. */
  readonly name: string;
  readonly source: string;
  /** Of the answer, in order; `entry_offset` is among them. */
  readonly columns: readonly string[];
  /** What rows are ordered by. */
  readonly order: readonly string[];
}

/**
 * The view of a name: of schema `main`, or with its schema. `columns`: names of the answer's columns, null for all. Rejects with
 * HttpError 400 that lists what there is.
 */
export async function findView(
  services: Parameters<typeof rowsOf>[0],
  name: string,
  columns: readonly string[] | null,
): Promise<PulledView> {
  const views = await readViews(services);
  const full = name.includes('.') ? name : `main.${name}`;
  const view = views.get(full);
  if (view === undefined) {
    const shown = [...views.keys()].map((key) => key.replace(/^main\./, ''));
    throw new HttpError(
      400,
      'TREASURY_PARAMETER_INVALID',
      `Cannot pull view ${name}: it has no entry_offset or is not there`,
      {
        parameter: 'view',
        possible: shown.join(', '),
      },
    );
  }
  const unknown = columns?.find((column) => !view.includes(column));
  if (unknown !== undefined) {
    throw new HttpError(
      400,
      'TREASURY_PARAMETER_INVALID',
      `Cannot read parameter columns: ${name} has no column ${unknown}`,
      {
        parameter: 'columns',
        possible: view.join(', '),
      },
    );
  }
  const wanted = columns === null ? view : ['entry_offset', ...columns.filter((column) => column !== 'entry_offset')];
  return {
    name,
    source: full.split('.').map(quoted).join('.'),
    columns: wanted.map(quoted),
    order: ORDER.filter((column) => view.includes(column)).map(quoted),
  };
}

/** Columns that tell the place of a row in its entry, where a view has them. */
const ORDER = ['entry_offset', 'row', 'parent_id', 'id', 'key'];

async function readViews({ engine, sqlLimits }: { engine: Pick<Engine, 'sql'>; sqlLimits: { timeoutMs: number } }) {
  const rows = await rowsOf(
    { engine, sqlLimits },
    `SELECT table_schema || '.' || table_name, string_agg(column_name, chr(10) ORDER BY ordinal_position)
     FROM information_schema.columns WHERE table_catalog = current_database() AND table_schema IN ('main', 'normalized')
     GROUP BY 1 HAVING bool_or(column_name = 'entry_offset') ORDER BY 1`,
  );
  return new Map((rows as [string, string][]).map(([view, names]) => [view, names.split('\n')]));
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
