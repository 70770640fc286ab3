/** The same version of a projection anew: another set of tables, which take the names of the old ones in the end. */
import { type AgingDimension, type AgingTables, physicalName, type ProjectionDefinition } from './projection.ts';

/** What the names of its tables end in meanwhile. */
export const NEXT_SUFFIX = '__next';

/** `definition` with tables of its own beside those that serve. */
export function nextDefinition(definition: ProjectionDefinition): ProjectionDefinition {
  const { aging } = definition;
  return {
    ...definition,
    tables: definition.tables.map(nextName),
    ...(aging === undefined ? {} : { aging: nextAging(aging) }),
    start: (context) =>
      definition.start({
        ...context,
        openWriter: (table) => context.openWriter(nextName(table)),
        tableName: (table) => physicalName(context, nextName(table)),
      }),
  };
}

function nextAging({ rows, dimensions }: AgingTables): AgingTables {
  return {
    rows: Object.fromEntries(Object.entries(rows).map(([table, time]) => [nextName(table), time])),
    dimensions: dimensions.map(
      (dimension): AgingDimension => ({
        ...dimension,
        table: nextName(dimension.table),
        referrers: dimension.referrers.map((referrer) => ({ ...referrer, table: nextName(referrer.table) })),
      }),
    ),
  };
}

function nextName(table: string): string {
  return table + NEXT_SUFFIX;
}
