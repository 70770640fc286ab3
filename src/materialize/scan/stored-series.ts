import type { ColumnNode } from '../sql/columns-encoder.ts';
import { bigUint64s, booleans, textPairs, texts } from './column-arrays.ts';
import { RESOURCES_QUERY, SCOPES_QUERY, SERIES_QUERY, SOME_SERIES_QUERY } from './scan-queries.ts';
import type { StoredResource, StoredScope, StoredSeries } from './types.ts';

/** Runs a query and gives its batches' columns. */
export type ReadColumns = (
  query: string,
  params: Readonly<Record<string, string>>,
  signal: AbortSignal,
) => AsyncIterable<readonly ColumnNode[]>;

/** Asked for by more ids than these, all series are read: a text of ids grows by 20 bytes an id. */
const SOME_MAX = 20_000;

interface ScopeRow {
  readonly key: bigint;
  readonly name: string;
  readonly version: string;
  readonly schemaUrl: string;
}

interface SeriesRow {
  readonly series: Omit<StoredSeries, 'resource' | 'scope'>;
  readonly resourceKey: bigint;
  readonly scope: ScopeRow;
}

/** Reads series by their ids. Resources and scopes that many series share are read once and are one object each. */
export class StoredSeriesReader {
  readonly #readColumns: ReadColumns;
  readonly #resources = new Map<bigint, StoredResource>();
  readonly #scopes = new Map<bigint, StoredScope>();

  constructor(readColumns: ReadColumns) {
    this.#readColumns = readColumns;
  }

  /** The series of `ids` that there are. */
  async read(ids: ReadonlySet<bigint>, signal: AbortSignal): Promise<Map<bigint, StoredSeries>> {
    const rows = new Map<bigint, SeriesRow>();
    if (ids.size === 0) return new Map();
    const isOfAll = ids.size > SOME_MAX;
    const params: Readonly<Record<string, string>> = isOfAll ? {} : { keys: [...ids].join(',') };
    for await (const columns of this.#readColumns(isOfAll ? SERIES_QUERY : SOME_SERIES_QUERY, params, signal)) {
      for (const [id, row] of seriesRows(columns)) if (ids.has(id)) rows.set(id, row);
    }
    await this.#readShared(rows.values(), signal);
    return new Map([...rows].map(([id, row]) => [id, this.#joined(row)]));
  }

  async #readShared(rows: Iterable<SeriesRow>, signal: AbortSignal): Promise<void> {
    const resources = new Set<bigint>();
    const scopes = new Map<bigint, ScopeRow>();
    for (const { resourceKey, scope } of rows) {
      if (!this.#resources.has(resourceKey)) resources.add(resourceKey);
      if (!this.#scopes.has(scope.key)) scopes.set(scope.key, scope);
    }
    for (const [key, attributes] of await this.#attributes(RESOURCES_QUERY, [...resources], signal)) {
      this.#resources.set(key, { attributes });
    }
    for (const [key, attributes] of await this.#attributes(SCOPES_QUERY, [...scopes.keys()], signal)) {
      const { name, version, schemaUrl } = scopes.get(key)!;
      this.#scopes.set(key, { name, version, schemaUrl, attributes });
    }
  }

  async #attributes(query: string, keys: readonly bigint[], signal: AbortSignal): Promise<Map<bigint, string[]>> {
    const found = new Map<bigint, string[]>();
    if (keys.length === 0) return found;
    for await (const [keyColumn, attributes] of this.#readColumns(query, { keys: keys.join(',') }, signal)) {
      const pairs = textPairs(attributes!);
      bigUint64s(keyColumn!).forEach((key, row) => found.set(key, pairs[row]!));
    }
    return found;
  }

  #joined({ series, resourceKey, scope }: SeriesRow): StoredSeries {
    const { name, version, schemaUrl } = scope;
    return {
      ...series,
      resource: this.#resources.get(resourceKey) ?? NO_RESOURCE,
      scope: this.#scopes.get(scope.key) ?? { name, version, schemaUrl, attributes: [] },
    };
  }
}

/** A series whose resource has gone between two reads has its points gone as well. */
const NO_RESOURCE: StoredResource = { attributes: [] };

type Node = ColumnNode;
type FirstColumns = readonly [Node, Node, Node, Node, Node, Node, Node, Node];
type LastColumns = readonly [Node, Node, Node, Node, Node];

const TYPES: ReadonlyMap<string, StoredSeries['type']> = new Map(
  (['gauge', 'sum', 'histogram', 'exponential_histogram', 'summary'] as const).map((type) => [type, type]),
);
const TEMPORALITIES: ReadonlyMap<string, StoredSeries['temporality']> = new Map(
  (['delta', 'cumulative'] as const).map((temporality) => [temporality, temporality]),
);

function* seriesRows(columns: readonly ColumnNode[]): Generator<[id: bigint, row: SeriesRow]> {
  const [ids, names, units, descriptions, types, temporalities, monotonic, attributes] = columns as FirstColumns;
  const [resourceKeys, scopeKeys, scopeNames, versions, urls] = columns.slice(8) as unknown as LastColumns;
  const text = {
    name: texts(names),
    unit: texts(units),
    description: texts(descriptions),
    type: texts(types),
    temporality: texts(temporalities),
    scopeName: texts(scopeNames),
    version: texts(versions),
    url: texts(urls),
  };
  const isMonotonic = booleans(monotonic);
  const pairs = textPairs(attributes);
  const resources = bigUint64s(resourceKeys);
  const scopes = bigUint64s(scopeKeys);
  for (const [row, id] of bigUint64s(ids).entries()) {
    yield [
      id,
      {
        series: {
          name: text.name[row]!,
          unit: text.unit[row]!,
          description: text.description[row]!,
          type: TYPES.get(text.type[row]!) ?? 'unknown',
          temporality: TEMPORALITIES.get(text.temporality[row]!) ?? 'unspecified',
          isMonotonic: isMonotonic[row]!,
          attributes: pairs[row]!,
        },
        resourceKey: resources[row]!,
        scope: {
          key: scopes[row]!,
          name: text.scopeName[row]!,
          version: text.version[row]!,
          schemaUrl: text.url[row]!,
        },
      },
    ];
  }
}
