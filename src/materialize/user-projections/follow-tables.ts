/** Projections of users on an opened database, as the engine starts them. */
import type { Session } from '../engine-session.ts';
import type { ProjectionDefinition } from '../projection.ts';
import { startUserProjections, type UserProjections, type UserProjectionsOptions } from './user-projections.ts';

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
