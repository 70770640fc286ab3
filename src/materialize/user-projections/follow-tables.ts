/** Projections of users on an opened database, as the engine starts them. */
import type { Session } from '../engine-session.ts';
import type { ProjectionDefinition } from '../projection.ts';
import type { IncompleteTables } from '../types.ts';
import { startUserProjections, type UserProjections, type UserProjectionsOptions } from './user-projections.ts';
import { lackOf, storedVersions } from './versions.ts';

type Given = 'inTurn' | 'faults' | 'onFailure' | 'retentionFigures' | 'retentionNow' | 'clock' | 'logger';

export interface FollowOptions extends Pick<UserProjectionsOptions, Given> {
  /** Undefined: tables of users stay as they are. */
  readonly directory: string | undefined;
  readonly durableOffset: () => bigint;
  readonly definitions: readonly ProjectionDefinition[];
}

/** Starts the loop beside those of the session; to be stopped before the session is closed. */
export function followTables(
  { tracks, connect }: Pick<Session, 'tracks' | 'connect'>,
  { directory, durableOffset, definitions, ...options }: FollowOptions,
): UserProjections | null {
  if (directory === undefined) return null;
  return startUserProjections({
    ...options,
    directory,
    connect,
    reservedNames: definitions.map(({ name }) => name),
    live: {
      materializedOffset: (name) =>
        tracks.projections.find((projection) => projection.name === name)?.materializedOffset ??
        tracks.materializedOffset,
      firstOffset: (name) => firstOffset(tracks, name),
      get durableOffset() {
        return durableOffset();
      },
      get isCaughtUp() {
        return tracks.materializedOffset >= durableOffset();
      },
      get isStuck() {
        return tracks.stuck !== null;
      },
    },
    onQuarantined: (entry) => tracks.quarantine.addCommitted(entry),
  });
}

/** What tables of users lack while nobody follows. */
export async function lackingTables({
  tracks,
  connect,
}: Pick<Session, 'tracks' | 'connect'>): Promise<IncompleteTables[]> {
  const stored = await storedVersions(await connect());
  return stored.flatMap((version) => lackOf(version, firstOffset(tracks, null)) ?? []);
}

/** From where on a projection holds everything, or all of them do. */
function firstOffset({ projections }: Session['tracks'], name: string | null): bigint {
  return projections
    .filter((projection) => name === null || projection.name === name)
    .reduce((most, one) => (one.firstOffset > most ? one.firstOffset : most), 0n);
}
