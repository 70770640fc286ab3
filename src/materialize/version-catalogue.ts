/** What the database knows of its versions, as last read, and the last switch of each projection. */
import {
  type Checkpoint,
  type LogPosition,
  openCheckpoints,
  type StoredVersion,
  storedVersions,
} from './checkpoint.ts';
import { type Database, sqlString } from './database.ts';
import type { ProjectionDefinition } from './projection.ts';
import type { VersionSwitch } from './types.ts';

export interface VersionCatalogue {
  readonly versions: readonly StoredVersion[];
  /** By name. One that is the same as before is the same object. */
  readonly switches: ReadonlyMap<string, VersionSwitch>;
  /** Reads both over a connection that sees the latest. */
  refresh(database: Database): Promise<void>;
  /** `openCheckpoints`, then the same. */
  openCheckpoints(database: Database, log: LogPosition): Promise<Checkpoint[]>;
}

/** Empty until it is read. */
export function createVersionCatalogue(definitions: readonly ProjectionDefinition[]): VersionCatalogue {
  let versions: readonly StoredVersion[] = [];
  let switches: ReadonlyMap<string, VersionSwitch> = new Map();

  async function refresh(database: Database): Promise<void> {
    const [stored, found] = [await storedVersions(database), await storedSwitches(database)];
    // Together: nobody sees a version that serves without its switch.
    versions = stored;
    switches = new Map(found.map((one) => [one.name, sameOr(switches.get(one.name), one)]));
  }

  return {
    get versions() {
      return versions;
    },
    get switches() {
      return switches;
    },
    refresh,
    async openCheckpoints(database, { uuid, durableOffset }) {
      const checkpoints = await openCheckpoints(database, definitions, uuid, durableOffset);
      await refresh(database);
      return checkpoints;
    },
  };
}

/** Inside the transaction of the switch: in place of the one before. */
export async function writeSwitch(
  database: Database,
  { name, version, fromVersion, atUnixMs, offset, tables }: VersionSwitch,
): Promise<void> {
  await database.run(`
    DELETE FROM meta.switches WHERE projection = ${sqlString(name)};
    INSERT INTO meta.switches VALUES (${sqlString(name)}, ${version}, ${fromVersion}, make_timestamp_ms(${Math.floor(atUnixMs)}),
      ${offset}, ${sqlString(JSON.stringify(tables))})`);
}

async function storedSwitches(database: Database): Promise<VersionSwitch[]> {
  const rows = await database.rows(
    `SELECT projection, version, from_version, epoch_ms(switched_at) AS at_unix_ms, next_offset, tables FROM meta.switches`,
  );
  return rows.map((row) => ({
    name: String(row['projection']),
    version: Number(row['version']),
    fromVersion: Number(row['from_version']),
    atUnixMs: Number(row['at_unix_ms']),
    offset: BigInt(row['next_offset'] as bigint),
    tables: JSON.parse(String(row['tables'])) as VersionSwitch['tables'],
  }));
}

function sameOr(before: VersionSwitch | undefined, found: VersionSwitch): VersionSwitch {
  const isSame =
    before !== undefined &&
    before.version === found.version &&
    before.fromVersion === found.fromVersion &&
    before.atUnixMs === found.atUnixMs &&
    before.offset === found.offset;
  return isSame ? before : found;
}
