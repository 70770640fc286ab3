/**
 * Opens SQLite so that none of its native objects is ever collected. On Node 24.19 and later, better-sqlite3 12 (the last that runs on
 * Node 20) aborts the process when the garbage collector frees a statement or a database: node::ObjectWrap's destructor looks for an
 * environment that a collection does not have. So databases and statements live as long as the process; each statement is made once,
 * and `pragma()`, which makes one a call, is refused.
 */
import { createRequire } from 'node:module';
import type Sqlite from 'better-sqlite3';
import { assert } from '../base/index.ts';

// By require: an import of CommonJS costs memory that is never given back (cjs-module-lexer).
const Database = createRequire(import.meta.url)('better-sqlite3') as typeof Sqlite;

const kept = new Set<Sqlite.Database>();

/**
 * Opens a database whose `prepare` answers the same statement for the same SQL: modes such as `pluck()` stay with it. A process opens
 * a few databases, with a few dozen statements each.
 */
export function openSqlite(path: string, options: Sqlite.Options = {}): Sqlite.Database {
  const database = new Database(path, options);
  kept.add(database);
  const statements = new Map<string, Sqlite.Statement>();
  const prepare = database.prepare.bind(database);
  const prepareOnce = (sql: string): Sqlite.Statement => {
    const statement = statements.get(sql) ?? prepare(sql);
    statements.set(sql, statement);
    return statement;
  };
  return Object.assign(database, {
    prepare: prepareOnce,
    pragma: () => assert(false, 'pragma() makes a statement that is collected: use exec or prepare'),
  });
}
