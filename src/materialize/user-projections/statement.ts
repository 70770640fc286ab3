/**
 * The statement of a projection of a user: one SELECT over views of `main` and `normalized`, taken apart by DuckDB's own parser.
 * Each view that it reads becomes a temporary one of the connection that shows a range of offsets; the text stays as it is otherwise.
 */
import { characterAt, codeUnitAt, positionOf, type TextPosition } from './positions.ts';
import { namePath, sqlName, statementEnd } from './sql-text.ts';

/** A view that statements may read. */
export interface ReadableView {
  readonly schema: 'main' | 'normalized';
  readonly name: string;
  /** Whether its rows can be told apart by offset; others (series, resources, scopes) are read whole. */
  readonly hasOffsets: boolean;
}

export interface ParsedStatement {
  /** The statement with the range views in place of the views. Without comments behind it. */
  readonly rangeSql: string;
  readonly views: readonly ReadableView[];
  /** The same for texts that differ in spaces and comments only. */
  readonly shape: string;
}

/** What is wrong with a statement. */
export class StatementProblem extends Error {
  readonly position: TextPosition | null;

  constructor(message: string, position: TextPosition | null) {
    super(message);
    this.position = position;
  }
}

/** The temporary view that stands for a view. */
export function rangeViewName({ schema, name }: ReadableView): string {
  return `temp.main.${sqlName(`range of ${schema}.${name}`)}`;
}

/**
 * Reads what `json_serialize_sql` answers for `text`. Throws StatementProblem when it is not one SELECT over `readable` views.
 */
export function parseStatement(text: string, serialized: string, readable: readonly ReadableView[]): ParsedStatement {
  const tree = JSON.parse(serialized) as SerializedSql;
  if (tree.error) throw refusal(text, tree);
  const statements = tree.statements ?? [];
  if (statements.length === 0) throw new StatementProblem('There is no statement', null);
  if (statements.length > 1) {
    const second = statementEnd(text);
    throw new StatementProblem(
      `There are ${statements.length} statements, one SELECT is expected`,
      positionOf(text, second),
    );
  }
  const found: FoundTable[] = [];
  const walk = new TableWalk(text, readable, found);
  walk.visit(statements[0], new Set());
  const views = new Map(found.map(({ view }) => [rangeViewName(view), view]));
  if (![...views.values()].some(({ hasOffsets }) => hasOffsets)) {
    throw new StatementProblem('It reads no view with entry_offset: there would be no telling what is new', null);
  }
  return { rangeSql: spliced(text, found), views: [...views.values()], shape: shapeOf(statements[0]) };
}

interface SerializedSql {
  readonly error: boolean;
  readonly error_type?: string;
  readonly error_message?: string;
  /** In code points. */
  readonly position?: string;
  readonly statements?: readonly unknown[];
}

function refusal(text: string, { error_type: type, error_message: message = '', position }: SerializedSql): Error {
  if (type === 'not implemented') return new StatementProblem('It is not a SELECT (nor may it hold a PIVOT)', null);
  const at = position === undefined ? null : positionOf(text, codeUnitAt(text, Number(position)));
  return new StatementProblem(message === '' ? `Cannot parse it: ${type}` : message, at);
}

interface FoundTable {
  readonly start: number;
  readonly end: number;
  readonly view: ReadableView;
  readonly needsAlias: boolean;
}

interface TreeNode {
  readonly type?: unknown;
  readonly class?: unknown;
  readonly query_location?: unknown;
  readonly [key: string]: unknown;
}

/** What may stand in FROM. Others show settings, files or change something. */
const TABLE_TYPES: ReadonlySet<unknown> = new Set(['JOIN', 'SUBQUERY', 'EXPRESSION_LIST', 'EMPTY']);
const QUERY_TYPES: ReadonlySet<unknown> = new Set([
  'SELECT_NODE',
  'SET_OPERATION_NODE',
  'RECURSIVE_CTE_NODE',
  'CTE_NODE',
]);
const TABLE_FUNCTIONS: ReadonlySet<unknown> = new Set([
  'range',
  'generate_series',
  'unnest',
  'repeat',
  'json_each',
  'json_tree',
]);

class TableWalk {
  readonly #text: string;
  readonly #readable: readonly ReadableView[];
  readonly #found: FoundTable[];

  constructor(text: string, readable: readonly ReadableView[], found: FoundTable[]) {
    this.#text = text;
    this.#readable = readable;
    this.#found = found;
  }

  /** `known`: names of common table expressions in scope, in lower case. */
  visit(value: unknown, known: ReadonlySet<string>): void {
    if (Array.isArray(value)) {
      for (const each of value) this.visit(each, known);
      return;
    }
    if (typeof value !== 'object' || value === null) return;
    const node = value as TreeNode;
    if (node.class === 'PARAMETER') throw new StatementProblem('It has a parameter, and nobody gives it a value', null);
    this.#checkKind(node);
    if (node.type === 'BASE_TABLE') this.#take(node, known);
    let scope = this.#withCommonTables(node, known);
    if (typeof node['cte_name'] === 'string') scope = new Set([...scope, node['cte_name'].toLowerCase()]);
    for (const [key, child] of Object.entries(node)) if (key !== 'cte_map') this.visit(child, scope);
  }

  #withCommonTables(node: TreeNode, known: ReadonlySet<string>): ReadonlySet<string> {
    const { map } = (node['cte_map'] ?? {}) as { readonly map?: readonly { key: string; value: unknown }[] };
    let scope = known;
    for (const { key, value } of map ?? []) {
      this.visit(value, scope);
      scope = new Set([...scope, key.toLowerCase()]);
    }
    return scope;
  }

  #checkKind(node: TreeNode): void {
    if ('query_location' in node && 'sample' in node && !('class' in node)) {
      if (node.type === 'BASE_TABLE' || TABLE_TYPES.has(node.type)) return;
      if (node.type !== 'TABLE_FUNCTION') throw new StatementProblem(`It may not have ${nameOf(node)}`, this.#at(node));
      const name = (node['function'] as TreeNode | undefined)?.['function_name'];
      if (TABLE_FUNCTIONS.has(name)) return;
      throw new StatementProblem(`Table function ${String(name)} is not allowed`, this.#at(node));
    }
    if ('cte_map' in node && !QUERY_TYPES.has(node.type)) {
      throw new StatementProblem(`It may not have ${nameOf(node)}`, this.#at(node));
    }
  }

  #take(node: TreeNode, known: ReadonlySet<string>): void {
    const schema = String(node['schema_name']);
    const name = String(node['table_name']);
    if (schema === '' && known.has(name.toLowerCase())) return;
    const view = this.#readable.find(
      (each) => each.schema === (schema.toLowerCase() || 'main') && each.name === name.toLowerCase(),
    );
    const shown = schema === '' ? name : `${schema}.${name}`;
    if (view === undefined || node['catalog_name'] !== '') {
      throw new StatementProblem(
        `Cannot read "${shown}": a projection reads views of main and normalized, and not those of other projections`,
        this.#at(node),
      );
    }
    if (node['at_clause'] !== null) throw new StatementProblem('AT is not allowed', this.#at(node));
    const start = characterAt(this.#text, Number(node.query_location));
    const path = namePath(this.#text, start);
    const names = schema === '' ? [name] : [schema, name];
    if (path?.names.join('.').toLowerCase() !== names.join('.').toLowerCase()) {
      throw new StatementProblem(
        `Cannot find where "${shown}" is read: write FROM ${shown} AS …`,
        positionOf(this.#text, start),
      );
    }
    this.#found.push({ start, end: path.end, view, needsAlias: node['alias'] === '' });
  }

  #at(node: TreeNode): TextPosition | null {
    const byte = Number(node.query_location);
    return byte <= Buffer.byteLength(this.#text) ? positionOf(this.#text, characterAt(this.#text, byte)) : null;
  }
}

function nameOf({ type }: TreeNode): string {
  return String(type).replaceAll('_', ' ');
}

function spliced(text: string, found: readonly FoundTable[]): string {
  let sql = '';
  let at = 0;
  for (const { start, end, view, needsAlias } of found.toSorted((a, b) => a.start - b.start)) {
    // `TABLE logs` takes no alias.
    const before = text.slice(at, start).replace(/\bTABLE\s+$/i, 'FROM ');
    sql += before + rangeViewName(view) + (needsAlias ? ` AS ${sqlName(view.name)}` : '');
    at = end;
  }
  return sql + text.slice(at, statementEnd(text));
}

/** The tree without places. */
function shapeOf(statement: unknown): string {
  return JSON.stringify(statement, (key, value: unknown) => (key === 'query_location' ? undefined : value));
}
