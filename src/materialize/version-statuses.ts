/** What is told of the versions of projections: those that serve, with what is built to take their place. */
import type { StoredVersion } from './checkpoint.ts';
import type { Loop } from './loop.ts';
import type { ProjectionDefinition } from './projection.ts';
import type { BuildStatus, IncompleteTables, ProjectionStatus } from './types.ts';
import type { VersionCatalogue } from './version-catalogue.ts';

export interface StatusSources {
  readonly catalogue: VersionCatalogue;
  readonly definitions: readonly ProjectionDefinition[];
  /** The loop of the versions that serve, null while there is none. */
  readonly live: Loop | null;
  readonly buildOf: (name: string) => BuildStatus | null;
}

/** One for each projection of this release. */
export function projectionStatuses({ catalogue, definitions, live, buildOf }: StatusSources): ProjectionStatus[] {
  const running = live?.materializer.projections ?? [];
  const serving = catalogue.versions.filter(({ state }) => state === 'serving');
  return serving
    .filter(({ name }) => definitions.some((definition) => definition.name === name))
    .map(({ name, version, ...row }): ProjectionStatus => {
      const one = running.find(({ definition }) => definition.name === name && definition.version === version);
      const materializedOffset = one?.materializedOffset ?? row.nextOffset;
      return {
        name,
        version,
        state: one === undefined ? 'frozen' : 'serving',
        materializedOffset,
        firstOffset: one?.firstOffset ?? row.firstOffset,
        complete: materializedOffset >= row.targetOffset,
        targetOffset: row.targetOffset,
        rowsWritten: one?.rowsWritten ?? 0,
        building: buildOf(name),
        lastSwitch: catalogue.switches.get(name) ?? null,
      };
    });
}

/** Those of which rows are missing because they are being built from the log. */
export function incompleteTables(projections: readonly ProjectionStatus[]): IncompleteTables[] {
  return projections
    .filter(({ complete }) => !complete)
    .map((one) => ({
      projection: one.name,
      from: one.firstOffset,
      to: one.materializedOffset,
      of: one.targetOffset,
    }));
}

/** A build that is not going on at this moment. */
export function standingBuild(
  { version, state, firstOffset, nextOffset }: StoredVersion,
  why: Pick<BuildStatus, 'targetOffset' | 'stuck' | 'waiting' | 'retryAtUnixMs'>,
): BuildStatus {
  return {
    version,
    kind: state === 'rebuilding' ? 'rebuild' : 'new',
    fromOffset: firstOffset,
    offset: nextOffset,
    entriesPerSecond: null,
    estimatedEndMs: null,
    rowsWritten: 0,
    ...why,
  };
}
