import type { BatchFacts, CanonicalBatch, PayloadName, RootColumns } from '../../otap/index.ts';
import { type AgingDimension, physicalName, type ProjectionContext, type Projector } from '../projection.ts';
import { GrowableStringArena } from '../string-arena.ts';
import type { TableWriter, VectorData } from '../vectors.ts';
import type { OwnedAttributes } from './attributes.ts';
import {
  type BatchDimension,
  newDimensionRows,
  resolveDimension,
  resourceSource,
  scopeSource,
  serviceNames,
  wireIdRows,
} from './dimensions.ts';
import { KnownKeys } from './key-set.ts';
import { orphanAttributes } from './orphan-attributes.ts';
import { Scratch } from './scratch.ts';

/** A table whose rows are written once per key: staged while the transaction runs, moved over before it commits. */
interface Dimension {
  /** Physical names. */
  readonly table: string;
  readonly stagedTable: string;
  readonly keyColumn: string;
  readonly known: KnownKeys;
  isStaged: boolean;
}

/** The resources and scopes of the batch at hand, and the service name of each root row. */
export interface RootDimensions {
  readonly resources: BatchDimension;
  readonly scopes: BatchDimension;
  readonly services: VectorData;
}

/**
 * What all projections share: memory for a batch, the writers of its tables and the bookkeeping of dimensions. Rows of a batch are
 * collected with `put` and handed to DuckDB together at its end, so a batch that fails while it is shaped has written nothing.
 */
export interface ProjectionWriter {
  readonly arena: GrowableStringArena;
  readonly scratch: Scratch;
  /** Of the batch at hand. */
  readonly entryOffset: bigint;
  /** Collects the rows of a table. */
  put(table: string, columns: readonly VectorData[], rowCount: number): void;
  /** Collects the rows of new keys of a dimension table. `accept` is called once the batch is written, to remember the keys. */
  stage(table: string, columns: readonly VectorData[], rowCount: number, accept: (known: KnownKeys) => void): void;
  /** Resolves resources and scopes of the root rows; collects new ones, the map of wire ids, and their orphans. */
  putRootDimensions(root: RootColumns, batch: BatchFacts): RootDimensions;
  putOrphans(payload: PayloadName, owned: OwnedAttributes): void;
  /** The projector around a function that shapes one batch. */
  projector(shape: (batch: CanonicalBatch) => void): Projector;
}

export interface WriterTables {
  /** Start of the names of the dimension tables: the projection's name. */
  readonly prefix: string;
  readonly version: number;
  readonly tables: readonly string[];
  /** Tables with a twin `<name>_staged_v<version>`, by name, and their key columns. */
  readonly dimensions: Readonly<Record<string, string>>;
}

/** Physical names of the tables that every projection has. */
export function dimensionTables(prefix: string, version: number): string[] {
  return [
    `${prefix}_resources_v${version}`,
    `${prefix}_resources_staged_v${version}`,
    `${prefix}_scopes_v${version}`,
    `${prefix}_scopes_staged_v${version}`,
    `${prefix}_batch_resources_v${version}`,
    `${prefix}_batch_scopes_v${version}`,
    `${prefix}_orphan_attrs_v${version}`,
  ];
}

/** The tables that every projection has and that grow old with the entry. */
export function agingDimensionTables(prefix: string, version: number): Readonly<Record<string, null>> {
  return {
    [`${prefix}_orphan_attrs_v${version}`]: null,
    [`${prefix}_batch_resources_v${version}`]: null,
    [`${prefix}_batch_scopes_v${version}`]: null,
  };
}

/** Resources and scopes, which stay as long as rows of `root`, the maps of wire ids, or rows of the dimension `parent` refer to them. */
export function agingDimensions(
  prefix: string,
  version: number,
  root: string,
  parent: string | null = null,
): readonly AgingDimension[] {
  return (['resource', 'scope'] as const).map((kind): AgingDimension => {
    const column = `${kind}_key`;
    return {
      table: `${prefix}_${kind}s_v${version}`,
      keyColumn: column,
      referrers: [
        { table: root, column, hasOffsets: true },
        { table: `${prefix}_batch_${kind}s_v${version}`, column, hasOffsets: true },
        ...(parent === null ? [] : [{ table: parent, column, hasOffsets: false }]),
      ],
    };
  });
}

interface Collected {
  readonly writer: TableWriter;
  readonly columns: readonly VectorData[];
  readonly rowCount: number;
}

/** Opens the writers of a projection's tables. */
export async function createProjectionWriter(
  context: ProjectionContext,
  options: WriterTables,
): Promise<ProjectionWriter> {
  const { prefix, version } = options;
  const arena = new GrowableStringArena();
  const scratch = new Scratch();
  const dimensions = new Map<string, Dimension>();
  for (const [name, keyColumn] of Object.entries(options.dimensions)) {
    dimensions.set(name, {
      table: physicalName(context, `${name}_v${version}`),
      stagedTable: physicalName(context, `${name}_staged_v${version}`),
      keyColumn,
      known: new KnownKeys(),
      isStaged: false,
    });
  }
  const filled = new Set([...dimensions.keys()].map((name) => `${name}_v${version}`));
  const writers = new Map<string, TableWriter>();
  // Dimension tables themselves are filled by SQL from their staged twins.
  for (const table of options.tables) if (!filled.has(table)) writers.set(table, await context.openWriter(table));
  let entryOffset = 0n;
  let collected: Collected[] = [];
  let accepts: (() => void)[] = [];

  function writerOf(table: string): TableWriter {
    const writer = writers.get(table);
    if (writer === undefined) throw new RangeError(`Cannot write a table that the projection does not name: ${table}`);
    return writer;
  }

  function dimensionOf(name: string): Dimension {
    const dimension = dimensions.get(name);
    if (dimension === undefined) throw new RangeError(`Cannot stage rows of a table that is no dimension: ${name}`);
    return dimension;
  }

  function put(name: string, columns: readonly VectorData[], rowCount: number): void {
    if (rowCount > 0) collected.push({ writer: writerOf(`${name}_v${version}`), columns, rowCount });
  }

  function stage(
    name: string,
    columns: readonly VectorData[],
    rowCount: number,
    accept: (known: KnownKeys) => void,
  ): void {
    const dimension = dimensionOf(name);
    put(`${name}_staged`, columns, rowCount);
    accepts.push(() => {
      dimension.isStaged = true;
      accept(dimension.known);
    });
  }

  function putDimension(
    name: string,
    map: string,
    rows: BatchDimension,
    services: VectorData | null,
    rowCount: number,
  ): void {
    const { newRows, newKeys, owned, source } = rows;
    if (newRows.length > 0) {
      const columns = newDimensionRows(rows, services, arena, scratch);
      stage(name, columns, newRows.length, (known) => newKeys.forEach((low, high) => known.add(low, high)));
    }
    const ids = wireIdRows(entryOffset, rows, rowCount, scratch);
    if (ids !== null) put(map, ids.columns, ids.rowCount);
    putOrphans(source.payload, owned);
  }

  function putOrphans(payload: PayloadName, owned: OwnedAttributes): void {
    const orphans = orphanAttributes(entryOffset, payload, owned, arena, scratch);
    if (orphans !== null) put(`${prefix}_orphan_attrs`, orphans.columns, orphans.rowCount);
  }

  function putRootDimensions(root: RootColumns, batch: BatchFacts): RootDimensions {
    const { rowCount } = root;
    const resourceTable = `${prefix}_resources`;
    const scopeTable = `${prefix}_scopes`;
    const resources = resolveDimension(
      resourceSource(root, batch.resourceAttrs),
      rowCount,
      dimensionOf(resourceTable).known,
      scratch,
    );
    const scopes = resolveDimension(
      scopeSource(root, batch.scopeAttrs),
      rowCount,
      dimensionOf(scopeTable).known,
      scratch,
    );
    const services = serviceNames(resources, rowCount, arena, scratch);
    putDimension(resourceTable, `${prefix}_batch_resources`, resources, services, rowCount);
    putDimension(scopeTable, `${prefix}_batch_scopes`, scopes, null, rowCount);
    return { resources, scopes, services };
  }

  function begin(offset: bigint): void {
    entryOffset = offset;
    arena.reset();
    scratch.reset();
    collected = [];
    accepts = [];
  }

  function end(): number {
    let rowCount = 0;
    for (const part of collected) {
      part.writer.append(part.columns, part.rowCount);
      rowCount += part.rowCount;
    }
    for (const accept of accepts) accept();
    return rowCount;
  }

  async function beforeCommit(): Promise<void> {
    for (const writer of writers.values()) writer.flush();
    for (const dimension of dimensions.values()) {
      if (!dimension.isStaged) continue;
      await context.run(moveStaged(dimension));
      dimension.isStaged = false;
    }
  }

  function projector(shape: (batch: CanonicalBatch) => void): Projector {
    return {
      project(entry, batch) {
        begin(entry.offset);
        shape(batch);
        return end();
      },
      beforeCommit,
      afterCommit() {},
      afterRollback() {
        for (const dimension of dimensions.values()) {
          dimension.known.clear();
          dimension.isStaged = false;
        }
      },
      forget(table, keys) {
        const dimension = [...dimensions.values()].find((one) => one.table === table);
        for (const key of keys) {
          dimension?.known.delete(Number(BigInt.asUintN(32, key)), Number(BigInt.asUintN(32, key >> 32n)));
        }
      },
      close() {
        for (const writer of writers.values()) writer.close();
      },
    };
  }

  return {
    arena,
    scratch,
    get entryOffset() {
      return entryOffset;
    },
    put,
    stage,
    putRootDimensions,
    putOrphans,
    projector,
  };
}

/** A key may be staged twice, when it was forgotten in between, and may be in the table already. The first one stays. */
function moveStaged({ table, stagedTable, keyColumn }: Dimension): string {
  return `
    INSERT INTO store.${table}
    SELECT * FROM store.${stagedTable} AS staged
    WHERE NOT EXISTS (FROM store.${table} AS stored WHERE stored.${keyColumn} = staged.${keyColumn})
    QUALIFY row_number() OVER (PARTITION BY staged.${keyColumn} ORDER BY rowid) = 1;
    DELETE FROM store.${stagedTable};`;
}
