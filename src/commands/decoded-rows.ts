/** The canonical tables of an entry as trees, one a record, span or metric: what belongs to it lies in it. Values are exact. */
import { assert } from '../base/index.ts';
import {
  type AttributesTable,
  type BytesColumn,
  type CanonicalBatch,
  cborToJson,
  VALUE_TYPES,
  type ValueColumns,
} from '../otap/index.ts';

/** Plain values: 64-bit integers as bigint, identifiers in hexadecimal, bytes in base64. Absent fields were not on the wire. */
export type Tree = string | number | bigint | boolean | null | readonly Tree[] | { readonly [name: string]: Tree };

/** A typed value; `key` is there in attributes. Maps and arrays are JSON text, bytes base64, doubles that JSON lacks are text. */
export interface TypedValue {
  readonly [name: string]: Tree;
  readonly type: string;
  readonly value: Tree;
}

/** One record, span or metric with its surroundings. */
export interface DecodedRow {
  readonly row: number;
  readonly resource: Tree;
  readonly scope: Tree;
  readonly record: Tree;
}

/** The rows of a batch in order. */
export function* decodedRows(batch: CanonicalBatch): Generator<DecodedRow> {
  const tables = batch as unknown as Readonly<Record<string, unknown>>;
  const table = (name: string) => (tables[name] ?? null) as Table | null;
  const root = rootOf(batch);
  const resourceAttributes = attributesOf(batch.resourceAttrs);
  const scopeAttributes = attributesOf(batch.scopeAttrs);
  const attributes = attributesOf(root.attributes);
  const children = CHILDREN[batch.signal].map((child) => childrenOf(child, table));
  const { rowCount } = root.table;
  for (let row = 0; row < rowCount; row++) {
    const fields = fieldsOf(root.table, row);
    const own = Object.fromEntries(Object.entries(fields).filter(([name]) => !(name in SURROUNDINGS)));
    const id = idAt(root.table, row);
    yield {
      row,
      resource: {
        ...renamed(fields, 'resource'),
        attributes: resourceAttributes(cell(root.table['resourceId'], 'resourceId', row) as number | undefined),
      },
      scope: {
        ...renamed(fields, 'scope'),
        attributes: scopeAttributes(cell(root.table['scopeId'], 'scopeId', row) as number | undefined),
      },
      record: {
        ...own,
        ...(root.table['body'] ? { body: typedValue(root.table['body'] as unknown as ValueColumns, row) } : {}),
        attributes: attributes(id),
        ...Object.assign({}, ...children.map((child) => child(id))),
      },
    };
  }
}

/** Rows of child tables whose parent is not in the batch, by table. */
export function unattachedRows(batch: CanonicalBatch): Readonly<Record<string, number>> {
  const tables = batch as unknown as Readonly<Record<string, unknown>>;
  const found: Record<string, number> = {};
  const look = (children: readonly Child[], parent: Table | null) => {
    const ids = new Set(parent === null ? [] : rowsOf(parent).map((row) => idAt(parent, row)));
    for (const { table: name, children: below } of children) {
      const table = (tables[name] ?? null) as Table | null;
      if (table === null) continue;
      const lost = rowsOf(table).filter((row) => !ids.has(parentAt(table, row))).length;
      if (lost > 0) found[name] = lost;
      look(below ?? [], table);
    }
  };
  look(CHILDREN[batch.signal], rootOf(batch).table);
  return found;
}

/** Any table of a batch, columns by name. */
type Table = Readonly<Record<string, unknown>> & { readonly rowCount: number };

interface Child {
  /** In the tree. */
  readonly name: string;
  readonly table: string;
  readonly attributes: string;
  readonly children?: readonly Child[];
}

function points(name: string, prefix: string, hasExemplars: boolean): Child {
  const exemplars = { name: 'exemplars', table: `${prefix}DpExemplars`, attributes: `${prefix}DpExemplarAttrs` };
  return { name, table: name, attributes: `${prefix}DpAttrs`, children: hasExemplars ? [exemplars] : [] };
}

const CHILDREN: Readonly<Record<CanonicalBatch['signal'], readonly Child[]>> = {
  logs: [],
  traces: [
    { name: 'events', table: 'spanEvents', attributes: 'spanEventAttrs' },
    { name: 'links', table: 'spanLinks', attributes: 'spanLinkAttrs' },
  ],
  metrics: [
    points('numberDataPoints', 'number', true),
    points('summaryDataPoints', 'summary', false),
    points('histogramDataPoints', 'histogram', true),
    points('expHistogramDataPoints', 'expHistogram', true),
  ],
};

/** Columns of a root table that are told with the resource or the scope. */
const SURROUNDINGS: Readonly<Record<string, { readonly of: 'resource' | 'scope'; readonly as: string }>> = {
  resourceSchemaUrl: { of: 'resource', as: 'schemaUrl' },
  resourceDroppedAttributesCount: { of: 'resource', as: 'droppedAttributesCount' },
  scopeName: { of: 'scope', as: 'name' },
  scopeVersion: { of: 'scope', as: 'version' },
  scopeDroppedAttributesCount: { of: 'scope', as: 'droppedAttributesCount' },
  schemaUrl: { of: 'scope', as: 'schemaUrl' },
};

/** Numbers that only hold the tables of a batch together, and columns that are told on their own. */
const UNTOLD: ReadonlySet<string> = new Set(['rowCount', 'id', 'parentId', 'resourceId', 'scopeId', 'body']);
const BOOLEANS: ReadonlySet<string> = new Set(['isMonotonic']);

function rootOf(batch: CanonicalBatch): { table: Table; attributes: AttributesTable | null } {
  switch (batch.signal) {
    case 'logs':
      return { table: batch.logs as unknown as Table, attributes: batch.logAttrs };
    case 'traces':
      return { table: batch.spans as unknown as Table, attributes: batch.spanAttrs };
    case 'metrics':
      return { table: batch.metrics as unknown as Table, attributes: batch.metricAttrs };
  }
}

type Fields = { readonly [name: string]: Tree };

function renamed(fields: Fields, of: 'resource' | 'scope'): Fields {
  const own = Object.entries(fields).flatMap(([name, value]) => {
    const place = SURROUNDINGS[name];
    return place?.of === of ? [[place.as, value] as const] : [];
  });
  return Object.fromEntries(own);
}

function fieldsOf(table: Table, row: number): Fields {
  const fields: Record<string, Tree> = {};
  for (const [name, column] of Object.entries(table)) {
    if (UNTOLD.has(name) || name === 'parentValidity') continue;
    const value = cell(column, name, row);
    if (value !== undefined) fields[name] = value;
  }
  return fields;
}

/** What the children of a kind add to their parent's tree. */
function childrenOf(child: Child, table: (name: string) => Table | null): (parent: number | undefined) => Fields {
  const found = table(child.table);
  if (found === null) return () => ({});
  const byParent = grouped(found);
  const attributes = attributesOf(table(child.attributes) as AttributesTable | null);
  const below = (child.children ?? []).map((each) => childrenOf(each, table));
  return (parent) => {
    const rows = parent === undefined ? [] : (byParent.get(parent) ?? []);
    if (rows.length === 0) return {};
    const trees = rows.map((row): Tree => {
      const id = idAt(found, row);
      return Object.assign({ ...fieldsOf(found, row), attributes: attributes(id) }, ...below.map((each) => each(id)));
    });
    return { [child.name]: trees };
  };
}

function attributesOf(table: AttributesTable | null): (parent: number | undefined) => readonly TypedValue[] {
  if (table === null) return () => [];
  const byParent = grouped(table as unknown as Table);
  return (parent) => {
    const rows = parent === undefined ? [] : (byParent.get(parent) ?? []);
    return rows.map((row) => ({ key: cell(table.key, 'key', row) ?? null, ...typedValue(table, row) }));
  };
}

function grouped(table: Table): ReadonlyMap<number, readonly number[]> {
  const groups = new Map<number, number[]>();
  for (const row of rowsOf(table)) {
    const parent = parentAt(table, row);
    if (parent === undefined) continue;
    const group = groups.get(parent);
    if (group === undefined) groups.set(parent, [row]);
    else group.push(row);
  }
  return groups;
}

function rowsOf({ rowCount }: Table): number[] {
  return Array.from({ length: rowCount }, (_, row) => row);
}

function idAt(table: Table, row: number): number | undefined {
  return cell(table['id'], 'id', row) as number | undefined;
}

/** Attribute and exemplar tables have plain numbers, the others a column. */
function parentAt(table: Table, row: number): number | undefined {
  const parents = table['parentId'];
  if (!(parents instanceof Uint32Array)) return cell(parents, 'parentId', row) as number | undefined;
  const validity = (table['parentValidity'] ?? null) as Uint8Array | null;
  return validity?.[row] === 0 ? undefined : parents[row];
}

interface AnyColumn {
  readonly values?: ArrayLike<number | bigint>;
  readonly validity: Uint8Array | null;
  readonly width?: number;
  readonly offsets?: ArrayLike<number>;
  readonly pool?: BytesColumn['pool'];
}

/** A cell of any column; undefined where the wire had none. */
function cell(found: unknown, name: string, row: number): Tree | undefined {
  if (found === null || found === undefined) return undefined;
  const column = found as AnyColumn;
  if (column.validity?.[row] === 0) return undefined;
  if (column.pool !== undefined) return bytesCell(found as BytesColumn, row);
  const { values, width, offsets } = column;
  assert(values !== undefined, `column ${name} must have values`);
  if (width !== undefined) {
    return Buffer.from((values as Uint8Array).subarray(row * width, (row + 1) * width)).toString('hex');
  }
  if (offsets !== undefined) {
    const items: Tree[] = [];
    for (let at = offsets[row]!; at < offsets[row + 1]!; at++) items.push(number(values[at]!, name));
    return items;
  }
  return BOOLEANS.has(name) ? values[row] !== 0 : number(values[row]!, name);
}

/** Times are kept in signed columns and unsigned on the wire. */
function number(value: number | bigint, name: string): Tree {
  if (typeof value === 'number') return double(value);
  return name.endsWith('imeUnixNano') && !name.startsWith('duration') ? BigInt.asUintN(64, value) : value;
}

/** JSON has neither NaN nor the infinities, and forgets the sign of zero. */
function double(value: number): number | string {
  if (Object.is(value, -0)) return '-0';
  return Number.isFinite(value) ? value : String(value);
}

function bytesCell({ kind, pool, indices }: BytesColumn, row: number): string {
  const at = indices === null ? row : indices[row]!;
  const bytes = pool.bytes.subarray(pool.offsets[at], pool.offsets[at + 1]);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString(kind === 'utf8' ? 'utf8' : 'base64');
}

function typedValue(columns: ValueColumns, row: number): TypedValue {
  switch (columns.type[row]) {
    case VALUE_TYPES.STR:
      return { type: 'string', value: cell(columns.str, 'str', row) ?? '' };
    case VALUE_TYPES.INT:
      return { type: 'int', value: cell(columns.int, 'int', row) ?? 0n };
    case VALUE_TYPES.DOUBLE:
      return { type: 'double', value: cell(columns.double, 'double', row) ?? 0 };
    case VALUE_TYPES.BOOL:
      return { type: 'bool', value: cell(columns.bool, 'bool', row) === 1 };
    case VALUE_TYPES.BYTES:
      return { type: 'bytes', value: cell(columns.bytes, 'bytes', row) ?? '' };
    case VALUE_TYPES.MAP:
      return { type: 'map', value: nestedText(columns, row) };
    case VALUE_TYPES.SLICE:
      return { type: 'array', value: nestedText(columns, row) };
    default:
      return { type: 'empty', value: null };
  }
}

function nestedText({ ser }: ValueColumns, row: number): Tree {
  const text = cell(ser, 'ser', row);
  if (typeof text !== 'string') return null;
  return cborToJson(Buffer.from(text, 'base64'));
}
