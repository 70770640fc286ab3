import type { ColumnNode } from '../sql/columns-encoder.ts';
import { bigUint64s, booleans, halves, textPairs, texts } from './column-arrays.ts';
import { RESOURCES_QUERY, SCOPES_QUERY, SERIES_QUERY, SOME_SERIES_QUERY } from './scan-queries.ts';
import type { SeriesIds } from './series-ids.ts';
import { TextPool } from './text-pool.ts';
import type { StoredResource, StoredScope, StoredSeries } from './types.ts';

/** Runs a query and gives its batches' columns. */
export type ReadColumns = (
  query: string,
  params: Readonly<Record<string, string>>,
  signal: AbortSignal,
) => AsyncIterable<readonly ColumnNode[]>;

/** Asked for by more ids than these, all series are read: a text of ids grows by 20 bytes an id. */
const SOME_MAX = 20_000;

/** Its attributes are read behind the series. */
type NewResource = { attributes: readonly string[] };
type NewScope = Omit<StoredScope, 'attributes'> & { attributes: readonly string[] };

/** Reads series by their ids. Resources and scopes that many series share are read once and are one object each. */
export class StoredSeriesReader {
  readonly #readColumns: ReadColumns;
  readonly #resources = new Map<bigint, StoredResource>();
  readonly #scopes = new Map<bigint, StoredScope>();

  constructor(readColumns: ReadColumns) {
    this.#readColumns = readColumns;
  }

  /** By ordinal in `ids`: the series of each; undefined where there is none. */
  async read(ids: SeriesIds, signal: AbortSignal): Promise<(StoredSeries | undefined)[]> {
    const found = Array.from({ length: ids.size }, (): StoredSeries | undefined => undefined);
    if (ids.size === 0) return found;
    const isOfAll = ids.size > SOME_MAX;
    const keys = (): string => found.map((_, ordinal) => ids.at(ordinal)).join(',');
    const params: Readonly<Record<string, string>> = isOfAll ? {} : { keys: keys() };
    const shared = new SharedObjects(this.#resources, this.#scopes);
    const pool = new TextPool();
    for await (const columns of this.#readColumns(isOfAll ? SERIES_QUERY : SOME_SERIES_QUERY, params, signal))
      readRows(columns, { ids, shared, pool }, found);
    await this.#readShared(shared, pool, signal);
    return found;
  }

  /** A series whose resource or scope has gone between two reads has its points gone as well: it stays without attributes. */
  async #readShared({ newResources, newScopes }: SharedObjects, pool: TextPool, signal: AbortSignal): Promise<void> {
    const resources = await this.#attributes(RESOURCES_QUERY, [...newResources.keys()], pool, signal);
    const scopes = await this.#attributes(SCOPES_QUERY, [...newScopes.keys()], pool, signal);
    for (const [key, attributes] of resources) {
      const resource = newResources.get(key)!;
      resource.attributes = attributes;
      this.#resources.set(key, resource);
    }
    for (const [key, attributes] of scopes) {
      const scope = newScopes.get(key)!;
      scope.attributes = attributes;
      this.#scopes.set(key, scope);
    }
  }

  async #attributes(
    query: string,
    keys: readonly bigint[],
    pool: TextPool,
    signal: AbortSignal,
  ): Promise<Map<bigint, string[]>> {
    const found = new Map<bigint, string[]>();
    if (keys.length === 0) return found;
    for await (const [keyColumn, attributes] of this.#readColumns(query, { keys: keys.join(',') }, signal)) {
      const pairs = textPairs(attributes!, pool);
      bigUint64s(keyColumn!).forEach((key, row) => found.set(key, pairs[row]!));
    }
    return found;
  }
}

/** Resources and scopes of series that are read: those that are known, and new ones, still without attributes. */
class SharedObjects {
  readonly newResources = new Map<bigint, NewResource>();
  readonly newScopes = new Map<bigint, NewScope>();
  readonly #resources: ReadonlyMap<bigint, StoredResource>;
  readonly #scopes: ReadonlyMap<bigint, StoredScope>;

  constructor(resources: ReadonlyMap<bigint, StoredResource>, scopes: ReadonlyMap<bigint, StoredScope>) {
    this.#resources = resources;
    this.#scopes = scopes;
  }

  resource(key: bigint): StoredResource {
    const known = this.#resources.get(key) ?? this.newResources.get(key);
    if (known !== undefined) return known;
    const made: NewResource = { attributes: [] };
    this.newResources.set(key, made);
    return made;
  }

  scope(key: bigint, own: () => Omit<StoredScope, 'attributes'>): StoredScope {
    const known = this.#scopes.get(key) ?? this.newScopes.get(key);
    if (known !== undefined) return known;
    const made: NewScope = { ...own(), attributes: [] };
    this.newScopes.set(key, made);
    return made;
  }
}

type Node = ColumnNode;
type FirstColumns = readonly [Node, Node, Node, Node, Node, Node, Node, Node];
type LastColumns = readonly [Node, Node, Node, Node, Node];

const TYPES: ReadonlyMap<string, StoredSeries['type']> = new Map(
  (['gauge', 'sum', 'histogram', 'exponential_histogram', 'summary'] as const).map((type) => [type, type]),
);
const TEMPORALITIES: ReadonlyMap<string, StoredSeries['temporality']> = new Map(
  (['delta', 'cumulative'] as const).map((temporality) => [temporality, temporality]),
);

interface RowsContext {
  readonly ids: SeriesIds;
  readonly shared: SharedObjects;
  readonly pool: TextPool;
}

/** Puts series at the places of their ids. */
function readRows(
  columns: readonly ColumnNode[],
  { ids, shared, pool }: RowsContext,
  found: (StoredSeries | undefined)[],
): void {
  const [idColumn, names, units, descriptions, types, temporalities, monotonic, attributes] = columns as FirstColumns;
  const [resourceKeys, scopeKeys, scopeNames, versions, urls] = columns.slice(8) as unknown as LastColumns;
  const [name, unit, description] = [texts(names, pool), texts(units, pool), texts(descriptions, pool)] as const;
  const [type, temporality] = [texts(types, pool), texts(temporalities, pool)] as const;
  const isMonotonic = booleans(monotonic);
  const pairs = textPairs(attributes, pool);
  const resourceAt = sameAsBefore(halves(resourceKeys), (row) => shared.resource(bigUint64s(resourceKeys)[row]!));
  const scopeTexts = [scopeNames, versions, urls].map((node) => texts(node, pool));
  const scopeOf = (row: number): Omit<StoredScope, 'attributes'> => ({
    name: scopeTexts[0]![row]!,
    version: scopeTexts[1]![row]!,
    schemaUrl: scopeTexts[2]![row]!,
  });
  const scopeAt = sameAsBefore(halves(scopeKeys), (row) =>
    shared.scope(bigUint64s(scopeKeys)[row]!, () => scopeOf(row)),
  );
  const words = halves(idColumn);
  for (let row = 0; row < idColumn.length; row++) {
    const ordinal = ids.find(words[2 * row]!, words[2 * row + 1]!);
    if (ordinal === -1) continue;
    found[ordinal] = {
      name: name[row]!,
      unit: unit[row]!,
      description: description[row]!,
      type: TYPES.get(type[row]!) ?? 'unknown',
      temporality: TEMPORALITIES.get(temporality[row]!) ?? 'unspecified',
      isMonotonic: isMonotonic[row]!,
      attributes: pairs[row]!,
      resource: resourceAt(row),
      scope: scopeAt(row),
    };
  }
}

/** What a row has by its key, which is mostly that of the row before. */
function sameAsBefore<Value>(keys: Uint32Array, valueOf: (row: number) => Value): (row: number) => Value {
  let before = -1;
  let value: Value;
  return (row) => {
    if (before === -1 || keys[2 * row] !== keys[2 * before] || keys[2 * row + 1] !== keys[2 * before + 1])
      value = valueOf(row);
    before = row;
    return value;
  };
}
