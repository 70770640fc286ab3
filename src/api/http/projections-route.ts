/** `/treasury/v1/projections`: how far the versions of projections are, and building one anew. Offsets are JSON numbers. */
import type { Context } from 'koa';
import type { BuildStatus, IncompleteTables, ProjectionStatus } from '../../materialize/index.ts';
import type { HttpServices } from './services.ts';

/** Begins to build a projection anew beside the tables that serve. */
export async function serveRebuild(context: Context, name: string, { rebuilds }: HttpServices): Promise<void> {
  await rebuilds.rebuildProjection(name);
  await answerWith(context, name, rebuilds);
}

/** Ends such a build. */
export async function serveCancelRebuild(context: Context, name: string, { rebuilds }: HttpServices): Promise<void> {
  await rebuilds.cancelRebuild(name);
  await answerWith(context, name, rebuilds);
}

async function answerWith(context: Context, name: string, rebuilds: HttpServices['rebuilds']): Promise<void> {
  const { projections } = await rebuilds.status();
  const found = projections.find((one) => one.name === name);
  context.status = 202;
  context.body = found === undefined ? null : projectionFigures(found);
}

/** A projection as the status shows it. */
export function projectionFigures(projection: ProjectionStatus): Readonly<Record<string, unknown>> {
  const { name, version, state, materializedOffset, firstOffset, complete, rowsWritten } = projection;
  const { building, lastSwitch, targetOffset } = projection;
  return {
    name,
    version,
    state,
    firstOffset: Number(firstOffset),
    materializedOffset: Number(materializedOffset),
    complete,
    ...(complete ? {} : { completeAtOffset: Number(targetOffset) }),
    rowsWritten,
    building: building === null ? null : buildFigures(building),
    lastSwitch:
      lastSwitch === null
        ? null
        : {
            version: lastSwitch.version,
            fromVersion: lastSwitch.fromVersion,
            at: new Date(lastSwitch.atUnixMs).toISOString(),
            offset: Number(lastSwitch.offset),
            tables: lastSwitch.tables,
          },
  };
}

function buildFigures(status: BuildStatus): Readonly<Record<string, unknown>> {
  const { fromOffset, offset, targetOffset, retryAtUnixMs, ...build } = status;
  return {
    ...build,
    fromOffset: Number(fromOffset),
    offset: Number(offset),
    targetOffset: Number(targetOffset),
    retryAt: retryAtUnixMs === null ? null : new Date(retryAtUnixMs).toISOString(),
  };
}

/** What an answer lacks, as the value of a header: a list with parameters (RFC 9651). */
export function incompleteHeader(incomplete: readonly IncompleteTables[]): string {
  return incomplete
    .map(({ projection, from, to, of }) => `${token(projection)};from=${from};to=${to};of=${of}`)
    .join(', ');
}

/** Tokens begin with a letter; other names are strings. */
function token(name: string): string {
  return /^[a-z]/i.test(name) ? name : `"${name}"`;
}
