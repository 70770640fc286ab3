/** Projections of users in the status, and `POST /treasury/v1/projections`, which looks at their files again. */
import type { Context } from 'koa';
import type { UserProjectionStatus } from '../../materialize/index.ts';
import type { HttpServices } from './services.ts';

/** As `projections` of the status has them, beside those of the product. */
export function userProjectionEntry(
  { materializedOffset, targetOffset, ...projection }: UserProjectionStatus,
  durableOffset: bigint,
): Readonly<Record<string, unknown>> {
  return {
    ...projection,
    kind: 'user',
    materializedOffset: Number(materializedOffset),
    ...(projection.complete ? {} : { completeAtOffset: Number(targetOffset) }),
    lag: Number(durableOffset - materializedOffset),
  };
}

/** Answers with all of them and with what is wrong in files. Files that are wrong are no failure of the request. */
export async function serveProjectionScan(
  context: Context,
  { projectionFiles, log }: Pick<HttpServices, 'projectionFiles' | 'log'>,
): Promise<void> {
  const { projections, problems } = await projectionFiles.scanProjections();
  const { durableOffset } = log.status();
  context.body = { projections: projections.map((each) => userProjectionEntry(each, durableOffset)), problems };
}
