/** Columns of canonical tables as Arrow fields: how each is named, typed and found. */
import type {
  BoolColumn,
  BytesColumn,
  F64Column,
  FixedColumn,
  I32Column,
  I64Column,
  IdColumn,
  IdentifierColumn,
  ListColumn,
  U32Column,
  U64Column,
  U8Column,
} from '../../otap/index.ts';
import { ARROW, type ArrowField, type ArrowNode, type ArrowType } from './arrow-ipc.ts';
import {
  boolNode,
  bytesLength,
  bytesNode,
  fixedNode,
  identifierNode,
  listNode,
  pairedListNode,
  type Rows,
  structNode,
  total,
  type Validity,
  validityOf,
} from './arrow-nodes.ts';

/** A column of a table of this kind. */
export interface TableColumn<Table> {
  readonly field: ArrowField;
  /** The rows of these tables behind each other. */
  node(tables: readonly Table[]): ArrowNode;
  /** Bytes of its longest buffer for one table, where that is not plain from the rows. */
  textBytes(table: Table): number;
}

interface HasRows {
  readonly rowCount: number;
}

type Get<Table, Column> = (table: Table) => Column | null;

const u8 = <T extends HasRows>(name: string, get: Get<T, U8Column>) =>
  numbers(name, ARROW.int(8, false), get, (length) => new Uint8Array(length));
/** Ids that the wire numbers with 16 bits are 32 bits wide, since requests in OTLP may hold more. */
const id = <T extends HasRows>(name: string, get: Get<T, IdColumn>) =>
  numbers(name, ARROW.int(32, false), get, (length) => new Uint32Array(length));
const u32 = <T extends HasRows>(name: string, get: Get<T, U32Column>) => id(name, get);
const i32 = <T extends HasRows>(name: string, get: Get<T, I32Column>) =>
  numbers(name, ARROW.int(32, true), get, (length) => new Int32Array(length));
const i64 = <T extends HasRows>(name: string, get: Get<T, I64Column>, type = ARROW.int(64, true)) =>
  numbers(name, type, get, (length) => new BigInt64Array(length));
const time = <T extends HasRows>(name: string, get: Get<T, I64Column>) => i64(name, get, ARROW.timestamp);
const duration = <T extends HasRows>(name: string, get: Get<T, I64Column>) => i64(name, get, ARROW.duration);
const u64 = <T extends HasRows>(name: string, get: Get<T, U64Column>) =>
  numbers(name, ARROW.int(64, false), get, (length) => new BigUint64Array(length));
const f64 = <T extends HasRows>(name: string, get: Get<T, F64Column>) =>
  numbers(name, ARROW.double, get, (length) => new Float64Array(length));

function bool<T extends HasRows>(name: string, get: Get<T, BoolColumn>): TableColumn<T> {
  return column(name, ARROW.bool, (tables) => boolNode(rows(tables, get)));
}

function identifier<T extends HasRows>(name: string, width: 8 | 16, get: Get<T, IdentifierColumn>): TableColumn<T> {
  return column(name, ARROW.fixedBinary(width), (tables) => identifierNode(rows(tables, get), width));
}

function text<T extends HasRows>(name: string, get: Get<T, BytesColumn>): TableColumn<T> {
  return bytesColumn(name, ARROW.utf8, get);
}

function binary<T extends HasRows>(name: string, get: Get<T, BytesColumn>): TableColumn<T> {
  return bytesColumn(name, ARROW.binary, get);
}

function u64List<T extends HasRows>(name: string, get: Get<T, ListColumn<BigUint64Array>>): TableColumn<T> {
  const type = ARROW.list(item(ARROW.int(64, false)));
  return column(name, type, (tables) => listNode(rows(tables, get), (length) => new BigUint64Array(length)));
}

function f64List<T extends HasRows>(name: string, get: Get<T, ListColumn<Float64Array>>): TableColumn<T> {
  return column(name, ARROW.list(item(ARROW.double)), (tables) =>
    listNode(rows(tables, get), (length) => new Float64Array(length)),
  );
}

/** Two columns of lists as one list of structs with a member of each. */
function pairs<T extends HasRows>(
  name: string,
  first: readonly [string, Get<T, ListColumn<Float64Array>>],
  second: readonly [string, Get<T, ListColumn<Float64Array>>],
): TableColumn<T> {
  const members = [first, second].map(([member]) => nullable(member, ARROW.double));
  return column(name, ARROW.list(item(ARROW.struct(members))), (tables) =>
    pairedListNode(rows(tables, first[1]), rows(tables, second[1])),
  );
}

/** A struct of other columns of the table. `has`: whether a table has it at all; always, when left out. */
function struct<T extends HasRows>(
  name: string,
  members: readonly TableColumn<T>[],
  has: (table: T) => boolean = () => true,
): TableColumn<T> {
  return {
    field: nullable(name, ARROW.struct(members.map(({ field }) => field))),
    node(tables) {
      const children = members.map((member) => member.node(tables));
      const validity: Validity = validityOf(
        tables.map((table) => ({ column: has(table) ? ALL_PRESENT : null, rowCount: table.rowCount })),
      );
      return structNode(total(tables), validity, children);
    },
    textBytes: (table) => Math.max(0, ...members.map((member) => member.textBytes(table))),
  };
}

/** All of the above for one kind of table. */
export function columnsOf<T extends HasRows>() {
  return {
    u8: u8<T>,
    id: id<T>,
    u32: u32<T>,
    i32: i32<T>,
    i64: i64<T>,
    time: time<T>,
    duration: duration<T>,
    u64: u64<T>,
    f64: f64<T>,
    bool: bool<T>,
    identifier: identifier<T>,
    text: text<T>,
    binary: binary<T>,
    u64List: u64List<T>,
    f64List: f64List<T>,
    pairs: pairs<T>,
    struct: struct<T>,
  };
}

const ALL_PRESENT = { validity: null };

export function nullable(name: string, type: ArrowType): ArrowField {
  return { name, type, isNullable: true };
}

function item(type: ArrowType): ArrowField {
  return nullable('item', type);
}

type Numbers = Parameters<typeof fixedNode>[0][number]['column'] extends FixedColumn<infer Values> | null
  ? Values
  : never;

function numbers<T extends HasRows>(
  name: string,
  type: ArrowType,
  get: Get<T, FixedColumn<Numbers>>,
  make: (length: number) => Numbers,
): TableColumn<T> {
  return column(name, type, (tables) => fixedNode(rows(tables, get), make));
}

function bytesColumn<T extends HasRows>(name: string, type: ArrowType, get: Get<T, BytesColumn>): TableColumn<T> {
  return {
    ...column<T>(name, type, (tables) => bytesNode(rows(tables, get))),
    textBytes(table) {
      const found = get(table);
      return found === null ? 0 : bytesLength(found, table.rowCount);
    },
  };
}

function column<T>(name: string, type: ArrowType, node: TableColumn<T>['node']): TableColumn<T> {
  return { field: nullable(name, type), node, textBytes: () => 0 };
}

function rows<T extends HasRows, Column>(tables: readonly T[], get: Get<T, Column>): Rows<Column>[] {
  return tables.map((table) => ({ column: get(table), rowCount: table.rowCount }));
}
