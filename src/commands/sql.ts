/** `treasury sql`. */
import { text } from 'node:stream/consumers';
import { errorMessage, TreasuryError } from '../base/index.ts';
import type { Config } from '../config.ts';
import { ask } from './client.ts';
import { tableText } from './table.ts';
import { writeOut } from './write-out.ts';

const MEDIA_TYPES: Readonly<Record<Config['format'], string>> = {
  table: 'application/json',
  json: 'application/json',
  csv: 'text/csv',
  ndjson: 'application/x-ndjson',
  arrow: 'application/vnd.apache.arrow.stream',
};

/** Rows shown as a table; the other formats stream any number. */
const TABLE_ROWS_MAX = 1000;

/** Runs the query on the server and writes the answer to stdout. `-` reads the query from stdin. Throws TreasuryError. */
export async function sql(query: string, { server, format }: Config): Promise<number> {
  const body = query === '-' ? await text(process.stdin) : query;
  const headers = { 'Content-Type': 'application/sql', Accept: MEDIA_TYPES[format] };
  const response = await ask(server, '/treasury/v1/sql', { method: 'POST', body, headers });
  try {
    if (format === 'table') await writeOut(answerTable((await response.json()) as JsonAnswer));
    else for await (const part of response.body as AsyncIterable<Uint8Array>) await writeOut(part);
  } catch (error) {
    if (error instanceof TreasuryError) throw error;
    const message = `The answer broke off (the server's log says why): ${errorMessage(error)}`;
    throw new TreasuryError('TREASURY_QUERY_INVALID', message, { cause: error });
  }
  return 0;
}

interface JsonAnswer {
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly rows: readonly (readonly unknown[])[];
  readonly rowCount: number;
  readonly truncated: boolean;
}

function answerTable({ columns, rows, rowCount, truncated }: JsonAnswer): string {
  const shown = rows.slice(0, TABLE_ROWS_MAX);
  const notes = [
    `${rowCount} ${rowCount === 1 ? 'row' : 'rows'}`,
    ...(truncated ? ['cut at the row limit'] : []),
    ...(shown.length < rows.length ? [`the first ${TABLE_ROWS_MAX} shown; --format csv shows all`] : []),
  ];
  return `${tableText(
    columns.map(({ name }) => name),
    shown,
  )}(${notes.join(', ')})\n`;
}
