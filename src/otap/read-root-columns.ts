import type { RootColumns, U16Column } from './canonical.ts';
import { readDeltaIds } from './read-ids.ts';
import type { TableColumns } from './table-columns.ts';

/** The columns that logs, spans and metrics share. The structs `resource` and `scope` may be missing. */
export function readRootColumns(table: TableColumns): RootColumns {
  const resource = table.struct('resource');
  const scope = table.struct('scope');
  return {
    rowCount: table.rowCount,
    id: distinctIds(table, readDeltaIds(table, table.u16('id'), 'id')),
    resourceId: resource === null ? null : readDeltaIds(resource, resource.u16('id'), 'id'),
    resourceSchemaUrl: resource?.utf8('schema_url') ?? null,
    resourceDroppedAttributesCount: resource?.u32('dropped_attributes_count') ?? null,
    scopeId: scope === null ? null : readDeltaIds(scope, scope.u16('id'), 'id'),
    scopeName: scope?.utf8('name') ?? null,
    scopeVersion: scope?.utf8('version') ?? null,
    scopeDroppedAttributesCount: scope?.u32('dropped_attributes_count') ?? null,
    schemaUrl: table.utf8('schema_url'),
  };
}

/** More rows with an id than 16 bits tell apart have wrapped: their attributes would be of several rows each. */
function distinctIds(table: TableColumns, ids: U16Column | null): U16Column | null {
  if (ids === null || table.rowCount <= IDS_MAX) return ids;
  const count = ids.validity === null ? table.rowCount : ids.validity.reduce((sum, isValid) => sum + isValid, 0);
  if (count > IDS_MAX) throw table.malformed('id', `${count} rows have one, above ${IDS_MAX}`);
  return ids;
}

const IDS_MAX = 65_536;
