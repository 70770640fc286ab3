import type { RootColumns } from '../../otap/index.ts';
import type { VectorData } from '../vectors.ts';
import { constant, fixed, ids, rowNumbers } from './columns.ts';
import { wordsAsU64 } from './identifiers.ts';
import type { ProjectionWriter, RootDimensions } from './projection-writer.ts';

/** The first columns of every root table: entry_offset, row, id, resource_id, scope_id, resource_key, scope_key. */
export function rootColumns(writer: ProjectionWriter, root: RootColumns, dimensions: RootDimensions): VectorData[] {
  return [
    constant(writer.entryOffset),
    rowNumbers(root.rowCount, 0, writer.scratch),
    ids(root.id, writer.scratch),
    ids(root.resourceId, writer.scratch),
    ids(root.scopeId, writer.scratch),
    fixed(wordsAsU64(dimensions.resources.keys)),
    fixed(wordsAsU64(dimensions.scopes.keys)),
  ];
}
