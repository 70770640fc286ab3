/** Cells of result columns as JSON or plain text. */
import type { DuckDBArrayType, DuckDBDecimalType, DuckDBListType } from '@duckdb/node-api';
import type { DuckDBMapType, DuckDBStructType, DuckDBType } from '@duckdb/node-api';
import { DuckDBTypeId } from '../duckdb.ts';
import type { ResultColumn } from './columns.ts';
import { BooleanColumn, FixedColumn } from './fixed-columns.ts';
import { FixedListColumn, ListColumn } from './nested-columns.ts';
import { BytesColumn } from './text-columns.ts';
import { dateText, intervalText, NANOS_PER, timestampText, timeText } from './time-text.ts';
import { isValid } from './validity.ts';

/** Writes one row of a column. */
export type CellWriter = (row: number) => string;

/**
 * JSON of each row: numbers up to 32 bits and doubles as numbers; wider integers and decimals as strings, so that no reader rounds
 * them; times as ISO strings; MAP and STRUCT as objects (a repeated key of a MAP is repeated); not-a-number and infinities as strings.
 */
export function jsonCells(type: DuckDBType, column: ResultColumn): CellWriter {
  const write = jsonWriter(type, column);
  return (row) => (isNull(column, row) ? 'null' : write(row));
}

/** Plain text of each row, null for null. Nested values are their JSON. */
export function textCells(type: DuckDBType, column: ResultColumn): (row: number) => string | null {
  const write = isNested(type) ? jsonWriter(type, column) : textWriter(type, column);
  return (row) => (isNull(column, row) ? null : write(row));
}

function isNull(column: ResultColumn, row: number): boolean {
  return column.nullCount > 0 && !isValid(column.validity, row);
}

function isNested(type: DuckDBType): boolean {
  const { typeId } = type;
  return (
    typeId === DuckDBTypeId.LIST ||
    typeId === DuckDBTypeId.ARRAY ||
    typeId === DuckDBTypeId.MAP ||
    typeId === DuckDBTypeId.STRUCT
  );
}

function jsonWriter(type: DuckDBType, column: ResultColumn): CellWriter {
  switch (type.typeId) {
    case DuckDBTypeId.BOOLEAN:
    case DuckDBTypeId.TINYINT:
    case DuckDBTypeId.UTINYINT:
    case DuckDBTypeId.SMALLINT:
    case DuckDBTypeId.USMALLINT:
    case DuckDBTypeId.INTEGER:
    case DuckDBTypeId.UINTEGER:
      return textWriter(type, column);
    case DuckDBTypeId.FLOAT:
    case DuckDBTypeId.DOUBLE: {
      const text = textWriter(type, column);
      return (row) => {
        const number = text(row);
        return number.endsWith('y') || number === 'NaN' ? `"${number}"` : number;
      };
    }
    case DuckDBTypeId.LIST:
      return listWriter(column as ListColumn, jsonCells((type as DuckDBListType).valueType, childOf(column, 0)));
    case DuckDBTypeId.ARRAY: {
      const { size } = column as FixedListColumn;
      const element = jsonCells((type as DuckDBArrayType).valueType, childOf(column, 0));
      return (row) => `[${range(row * size, (row + 1) * size, element)}]`;
    }
    case DuckDBTypeId.MAP:
      return mapWriter(type as DuckDBMapType, column as ListColumn);
    case DuckDBTypeId.STRUCT:
      return structWriter(type as DuckDBStructType, column);
    default: {
      const text = textWriter(type, column);
      return (row) => JSON.stringify(text(row));
    }
  }
}

function listWriter(column: ListColumn, element: CellWriter): CellWriter {
  return (row) => `[${range(offset(column, row), offset(column, row + 1), element)}]`;
}

function mapWriter(type: DuckDBMapType, column: ListColumn): CellWriter {
  const key = textCells(type.keyType, childOf(column.child, 0));
  const value = jsonCells(type.valueType, childOf(column.child, 1));
  const entry = (row: number) => `${JSON.stringify(key(row) ?? 'null')}:${value(row)}`;
  return (row) => `{${range(offset(column, row), offset(column, row + 1), entry)}}`;
}

function structWriter(type: DuckDBStructType, column: ResultColumn): CellWriter {
  const fields = type.entryTypes.map((fieldType, index) => ({
    name: JSON.stringify(type.entryNames[index]),
    write: jsonCells(fieldType, childOf(column, index)),
  }));
  return (row) => `{${fields.map(({ name, write }) => `${name}:${write(row)}`).join(',')}}`;
}

function range(from: number, to: number, write: CellWriter): string {
  let text = '';
  for (let row = from; row < to; row++) text += row === from ? write(row) : `,${write(row)}`;
  return text;
}

function offset(column: ListColumn, row: number): number {
  return column.offsets.values[row] as number;
}

function childOf(column: ResultColumn, index: number): ResultColumn {
  return column.children[index] as ResultColumn;
}

function textWriter(type: DuckDBType, column: ResultColumn): CellWriter {
  if (column instanceof BooleanColumn) return (row) => String(isValid(column.buffers[0] as Uint8Array, row));
  if (column instanceof FixedColumn) return fixedWriter(type, column);
  const bytes = column as BytesColumn;
  if (type.typeId === DuckDBTypeId.BLOB) return (row) => blobText(bytes.row(row));
  return (row) => bytes.text(row);
}

function fixedWriter(type: DuckDBType, column: FixedColumn): CellWriter {
  switch (type.typeId) {
    case DuckDBTypeId.TINYINT:
      return (row) => String(column.view.getInt8(row));
    case DuckDBTypeId.UTINYINT:
      return (row) => String(column.view.getUint8(row));
    case DuckDBTypeId.SMALLINT:
      return (row) => String(column.view.getInt16(row * 2, true));
    case DuckDBTypeId.USMALLINT:
      return (row) => String(column.view.getUint16(row * 2, true));
    case DuckDBTypeId.INTEGER:
      return (row) => String(column.view.getInt32(row * 4, true));
    case DuckDBTypeId.UINTEGER:
      return (row) => String(column.view.getUint32(row * 4, true));
    case DuckDBTypeId.UBIGINT:
      return (row) => String(column.view.getBigUint64(row * 8, true));
    case DuckDBTypeId.FLOAT:
      return (row) => floatText(column.view.getFloat32(row * 4, true));
    case DuckDBTypeId.DOUBLE:
      return (row) => doubleText(column.view.getFloat64(row * 8, true));
    case DuckDBTypeId.HUGEINT:
      return (row) => String(wide(column, row));
    case DuckDBTypeId.DECIMAL: {
      const { scale } = type as DuckDBDecimalType;
      return (row) => decimalText(wide(column, row), scale);
    }
    case DuckDBTypeId.DATE:
      return (row) => dateText(column.view.getInt32(row * 4, true));
    case DuckDBTypeId.INTERVAL:
      return (row) => {
        const { view } = column;
        return intervalText(
          view.getInt32(row * 16, true),
          view.getInt32(row * 16 + 4, true),
          view.getBigInt64(row * 16 + 8, true),
        );
      };
    default:
      return longWriter(type, column);
  }
}

function longWriter(type: DuckDBType, column: FixedColumn): CellWriter {
  const long = (row: number) => column.view.getBigInt64(row * 8, true);
  switch (type.typeId) {
    case DuckDBTypeId.TIME:
      return (row) => timeText(long(row) * NANOS_PER.us);
    case DuckDBTypeId.TIME_NS:
      return (row) => timeText(long(row));
    case DuckDBTypeId.TIMESTAMP_S:
      return (row) => timestampText(long(row), NANOS_PER.s);
    case DuckDBTypeId.TIMESTAMP_MS:
      return (row) => timestampText(long(row), NANOS_PER.ms);
    case DuckDBTypeId.TIMESTAMP:
    case DuckDBTypeId.TIMESTAMP_TZ:
      return (row) => timestampText(long(row), NANOS_PER.us);
    case DuckDBTypeId.TIMESTAMP_NS:
      return (row) => timestampText(long(row), NANOS_PER.ns);
    default:
      return (row) => String(long(row));
  }
}

function wide(column: FixedColumn, row: number): bigint {
  const { view } = column;
  return (view.getBigInt64(row * 16 + 8, true) << 64n) | view.getBigUint64(row * 16, true);
}

function decimalText(value: bigint, scale: number): string {
  if (scale === 0) return String(value);
  const digits = String(value < 0n ? -value : value).padStart(scale + 1, '0');
  const point = digits.length - scale;
  return `${value < 0n ? '-' : ''}${digits.slice(0, point)}.${digits.slice(point)}`;
}

function doubleText(value: number): string {
  return Object.is(value, -0) ? '-0.0' : String(value);
}

/** Digits that always tell two 32-bit floats apart; fewer are tried first. */
const FLOAT_DIGITS_MAX = 9;
const FLOAT_DIGITS_MIN = 6;

function floatText(value: number): string {
  if (!Number.isFinite(value) || Object.is(value, -0)) return doubleText(value);
  for (let digits = FLOAT_DIGITS_MIN; digits < FLOAT_DIGITS_MAX; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return String(short);
  }
  return String(Number(value.toPrecision(FLOAT_DIGITS_MAX)));
}

const PRINTABLE_MIN = 0x20;
const PRINTABLE_MAX = 0x7e;
const BACKSLASH = 0x5c;

/** Bytes as DuckDB prints a BLOB: printable ASCII as it is, other bytes as `\xHH`. */
function blobText(bytes: Buffer): string {
  let text = '';
  for (const byte of bytes) {
    const plain = byte >= PRINTABLE_MIN && byte <= PRINTABLE_MAX && byte !== BACKSLASH;
    text += plain ? String.fromCharCode(byte) : `\\x${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return text;
}
