import type { ComparedForms } from '../../src/materialize/projection.ts';
import { METRICS_PROJECTION } from '../../src/materialize/projections/metrics.ts';
import { unversioned } from '../../src/materialize/table-retention-figures.ts';

/**
 * Columns of a stored table that may say the same in several ways, which depends on what the process stored before, and what they say. As
 * comparisons of versions have it. Undefined: none.
 */
export function formsOf(table: string): ComparedForms | undefined {
  return METRICS_PROJECTION.compared?.[unversioned(table)];
}
