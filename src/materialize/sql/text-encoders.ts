/** JSON, NDJSON and CSV answers. */
import type { DuckDBType } from '@duckdb/node-api';
import { TreasuryError } from '../../base/index.ts';
import { DuckDBTypeId } from '../duckdb.ts';
import { jsonCells, textCells } from './cells.ts';
import type { AnswerColumn, AnswerEncoder, SqlSummary } from './encoder.ts';

/** One vector of rows, or this much data: a part of an answer is a few hundred KiB of text. */
const TEXT_BATCH = { batchRowsMax: 2048, batchBytesMax: 512 * 1024 } as const;

/** `{"columns":[{"name","type"}],"rows":[[…]],"rowCount","truncated"}`, types as DuckDB names them. */
export function createJsonEncoder(columns: readonly AnswerColumn[]): AnswerEncoder {
  const cells = columns.map(({ type, data }) => jsonCells(type, data));
  let first = true;
  return {
    ...TEXT_BATCH,
    head() {
      const described = columns.map(({ name, type }) => ({ name, type: typeName(type) }));
      return utf8(`{"columns":${JSON.stringify(described)},"rows":[`);
    },
    batch(rowCount) {
      const rows: string[] = [];
      for (let row = 0; row < rowCount; row++) rows.push(`[${cells.map((cell) => cell(row)).join(',')}]`);
      const text = rows.join(',\n');
      const separated = first || text === '' ? text : `,\n${text}`;
      if (text !== '') first = false;
      return utf8(separated);
    },
    tail({ rowCount, truncated }) {
      return utf8(`],"rowCount":${rowCount},"truncated":${truncated}}\n`);
    },
  };
}

/** An ENUM's name would list all of its values. */
function typeName(type: DuckDBType): string {
  return type.typeId === DuckDBTypeId.ENUM ? 'ENUM' : String(type);
}

/** One JSON object a row. A repeated column name gets `:1`, `:2`, … appended, as DuckDB does. */
export function createNdjsonEncoder(columns: readonly AnswerColumn[]): AnswerEncoder {
  const names = uniqueNames(columns.map(({ name }) => name));
  const cells = columns.map(({ type, data }, index) => ({
    key: `${JSON.stringify(names[index])}:`,
    write: jsonCells(type, data),
  }));
  return {
    ...TEXT_BATCH,
    head: () => utf8(''),
    batch(rowCount) {
      let text = '';
      for (let row = 0; row < rowCount; row++)
        text += `{${cells.map(({ key, write }) => key + write(row)).join(',')}}\n`;
      return utf8(text);
    },
    tail: endWhole,
  };
}

/** RFC 4180 with a header line; rows end in LF. Null is an empty cell, an empty string is `""`. */
export function createCsvEncoder(columns: readonly AnswerColumn[]): AnswerEncoder {
  const cells = columns.map(({ type, data }) => textCells(type, data));
  return {
    ...TEXT_BATCH,
    head: () => utf8(`${columns.map(({ name }) => csvCell(name)).join(',')}\n`),
    batch(rowCount) {
      let text = '';
      for (let row = 0; row < rowCount; row++) text += `${cells.map((cell) => csvCell(cell(row))).join(',')}\n`;
      return utf8(text);
    },
    tail: endWhole,
  };
}

/**
 * These formats have no place for a remark, and an answer that was cut must not look whole: it ends with an error, which the client
 * sees as a broken transfer.
 */
function endWhole({ rowCount, truncated }: SqlSummary): Uint8Array {
  if (!truncated) return utf8('');
  throw new TreasuryError('TREASURY_QUERY_LIMIT', `Cannot send more than ${rowCount} rows: add a LIMIT`, {
    facts: { rowsMax: rowCount },
  });
}

function csvCell(text: string | null): string {
  if (text === null) return '';
  return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function uniqueNames(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    let unique = name;
    for (let copy = 1; taken.has(unique); copy++) unique = `${name}:${copy}`;
    taken.add(unique);
    return unique;
  });
}

/** UTF-8 in memory of its own: `Buffer.from` would take a slice of Node's pool. */
function utf8(text: string): Uint8Array {
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text));
  bytes.write(text);
  return bytes;
}
