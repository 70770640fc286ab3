/** The columns that logs, spans and metrics share, and the attributes of all tables, as an exporter writes them. */
import type { AttributesTable, IdColumn, RootColumns } from './canonical.ts';
import { ColumnList, hasValue, type OutColumn } from './out-columns.ts';
import { outTable, type OutTable } from './out-tables.ts';
import type { PayloadName } from './payload-types.ts';
import { attributeRowsEqual } from './row-equality.ts';
import type { IdValues } from './transport-ids.ts';
import { delta16, delta32, type Ids, IdSpace, quasiDelta16, quasiDelta32 } from './write-ids.ts';

/** The ids of resources and scopes of a batch. */
export interface SharedIds {
  readonly resources: IdSpace;
  readonly scopes: IdSpace;
  /** Those of the root's rows. */
  readonly ofResources: IdValues | null;
  readonly ofScopes: IdValues | null;
}

/** Throws BatchTooLargeError when there are more resources or scopes than ids. */
export function sharedIds(
  root: RootColumns,
  resourceAttrs: AttributesTable | null,
  scopeAttrs: AttributesTable | null,
): SharedIds {
  const resources = new IdSpace('resources', 16, [root.resourceId, parents(resourceAttrs)]);
  const scopes = new IdSpace('scopes', 16, [root.scopeId, parents(scopeAttrs)]);
  return {
    resources,
    scopes,
    ofResources: ownerIds(root.resourceId, resources, root.rowCount),
    ofScopes: ownerIds(root.scopeId, scopes, root.rowCount),
  };
}

/** The ids of a root table's rows as its column. */
export function writeRowIds(list: ColumnList, ids: Ids | null): void {
  const column = ids === null ? null : { values: delta16(ids.values, ids.validity), validity: ids.validity };
  list.fixed('id', 'u16', column);
}

/** The ids of rows below the root's: 32 bits. */
export function writeChildIds(list: ColumnList, ids: Ids | null): void {
  const column = ids === null ? null : { values: delta32(ids.values, ids.validity), validity: ids.validity };
  list.fixed('id', 'u32', column);
}

/** The structs `resource` and `scope`. */
export function writeResourceAndScope(list: ColumnList, root: RootColumns, ids: SharedIds): void {
  list.struct('resource', () => {
    list.fixed('id', 'u16', deltaColumn(ids.ofResources));
    list.bytes('schema_url', 'utf8', root.resourceSchemaUrl);
    list.fixed('dropped_attributes_count', 'u32', root.resourceDroppedAttributesCount);
  });
  list.struct('scope', () => {
    list.fixed('id', 'u16', deltaColumn(ids.ofScopes));
    list.bytes('name', 'utf8', root.scopeName);
    list.bytes('version', 'utf8', root.scopeVersion);
    list.fixed('dropped_attributes_count', 'u32', root.scopeDroppedAttributesCount);
  });
}

/** The attributes of resources and scopes. */
export function sharedTables(
  ids: SharedIds,
  resourceAttrs: AttributesTable | null,
  scopeAttrs: AttributesTable | null,
): OutTable[] {
  return [
    attributesTable('RESOURCE_ATTRS', resourceAttrs, ids.resources, 16),
    attributesTable('SCOPE_ATTRS', scopeAttrs, ids.scopes, 16),
  ];
}

/** An attributes table whose parents have numbers of 16 or 32 bits. */
export function attributesTable(
  name: PayloadName,
  table: AttributesTable | null,
  parentIds: IdSpace,
  bits: 16 | 32,
): OutTable {
  // Renumbered before anything is written: too many ids must leave the stream as it was.
  const ids = table === null ? null : parentIds.orphanNulls(parents(table)!);
  return outTable(name, table, (attributes) => attributeColumns(attributes, ids!, bits));
}

function attributeColumns(table: AttributesTable, parentIds: IdValues, bits: 16 | 32): OutColumn[] {
  const list = new ColumnList(table.rowCount);
  const rowsEqual = attributeRowsEqual(table, table.key, 'go');
  const values = bits === 16 ? quasiDelta16(parentIds, rowsEqual) : quasiDelta32(parentIds, rowsEqual);
  list.fixed('parent_id', bits === 16 ? 'u16' : 'u32', { values, validity: null }, { isNullable: false });
  list.bytes('key', 'utf8', table.key, false);
  list.values(table);
  return list.columns;
}

/** The parents that a table names. */
export function parents(table: AttributesTable | null): Ids | null {
  return table === null ? null : { values: table.parentId, validity: table.parentValidity };
}

/** Upstream's receiver takes a null for the id of the row before: where other rows have ids, these get some, too. */
function ownerIds(column: IdColumn | null, ids: IdSpace, rowCount: number): IdValues | null {
  if (column === null || !hasValue(column.validity, rowCount)) return null;
  return ids.numberNulls(column, { runs: true });
}

function deltaColumn(ids: IdValues | null) {
  return ids === null ? null : { values: delta16(ids, null), validity: null };
}
