import { type AttributesTable, type ValueColumns, VALUE_TYPES } from './canonical.ts';
import { cborToJson, doubleText } from './cbor-json.ts';
import { TextSource } from './otlp-encode-fields.ts';

/**
 * The ids that have all these attributes. A value is compared by its text: strings as they are, bytes in base64, all others in their JSON
 * form. What has no value has no text. Of several attributes of one key, one will do.
 */
export function parentsWith(
  table: AttributesTable | null,
  wanted: readonly (readonly [key: string, text: string])[],
): ReadonlySet<number> {
  let parents: Set<number> | null = null;
  for (const [key, text] of wanted) {
    const found = new Set<number>();
    if (table !== null) addParents(table, key, text, parents, found);
    parents = found;
  }
  return parents ?? new Set();
}

/** Adds the ids that have one attribute, of those in `among` (null: of all). */
function addParents(
  table: AttributesTable,
  key: string,
  text: string,
  among: ReadonlySet<number> | null,
  found: Set<number>,
): void {
  const { parentId, parentValidity } = table;
  const isKey = textTest(TextSource.of(table.key), key);
  const isValue = valueTest(table, text);
  for (let row = 0; row < table.rowCount; row++) {
    if (parentValidity !== null && parentValidity[row] === 0) continue;
    const parent = parentId[row]!;
    if (isKey(row) && (among === null || among.has(parent)) && isValue(row)) found.add(parent);
  }
}

/** Whether the value of a row has this text. */
function valueTest(columns: ValueColumns, text: string): (row: number) => boolean {
  const { type, int, double, bool } = columns;
  const isString = textTest(TextSource.of(columns.str), text);
  const bytes = TextSource.of(columns.bytes);
  const ser = TextSource.of(columns.ser);
  const wantedInt = /^-?\d+$/.test(text) && String(BigInt(text)) === text ? BigInt(text) : null;
  const wantedDouble = doubleText(Number(text)) === text ? Number(text) : null;
  return (row) => {
    switch (type[row]) {
      case VALUE_TYPES.STR:
        return isString(row);
      case VALUE_TYPES.INT:
        return wantedInt !== null && (int?.values[row] ?? 0n) === wantedInt;
      case VALUE_TYPES.DOUBLE:
        return wantedDouble !== null && Object.is(double?.values[row] ?? 0, wantedDouble);
      case VALUE_TYPES.BOOL:
        return text === (bool !== null && bool.values[row] !== 0 ? 'true' : 'false');
      case VALUE_TYPES.BYTES:
        return bytesAt(bytes, row).toString('base64') === text;
      case VALUE_TYPES.MAP:
        return serializedText(ser, row, '{}') === text;
      case VALUE_TYPES.SLICE:
        return serializedText(ser, row, '[]') === text;
      default:
        return false;
    }
  };
}

/** Whether the string of a row is this one; a null row is empty. */
function textTest(source: TextSource | null, text: string): (row: number) => boolean {
  if (source === null) return () => text === '';
  const wanted = Buffer.from(text, 'utf8');
  const { bytes, offsets } = source;
  return (row) => {
    const entry = source.entry(row);
    if (entry < 0) return wanted.length === 0;
    const start = offsets[entry]!;
    if (offsets[entry + 1]! - start !== wanted.length) return false;
    for (let i = 0; i < wanted.length; i++) if (bytes[start + i] !== wanted[i]) return false;
    return true;
  };
}

function serializedText(source: TextSource | null, row: number, empty: string): string {
  const bytes = bytesAt(source, row);
  return bytes.length === 0 ? empty : cborToJson(bytes);
}

function bytesAt(source: TextSource | null, row: number): Buffer {
  const entry = source === null ? -1 : source.entry(row);
  if (entry < 0) return Buffer.alloc(0);
  const { bytes, offsets } = source!;
  return Buffer.from(bytes.buffer, bytes.byteOffset + offsets[entry]!, offsets[entry + 1]! - offsets[entry]!);
}
