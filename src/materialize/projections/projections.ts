import type { ProjectionDefinition } from '../projection.ts';
import { LOGS_PROJECTION } from './logs.ts';
import { METRICS_PROJECTION } from './metrics.ts';
import { TRACES_PROJECTION } from './traces.ts';

/** The projections of this release, one for each signal. Their tables are in migrations/duckdb, their public shape in docs/schema.md. */
export const PROJECTIONS: readonly ProjectionDefinition[] = [LOGS_PROJECTION, TRACES_PROJECTION, METRICS_PROJECTION];
