import type { CanonicalBatch, RowFilter } from '../../otap/index.ts';
import type { ExporterFilter } from './types.ts';
import { countItems, filterBatch } from './encoders.ts';

/** What a filter leaves of a batch. */
export interface WantedRows {
  /** Null: nothing. */
  readonly batch: CanonicalBatch | null;
  /** Records, spans or data points left. */
  readonly items: number;
  readonly filteredItems: number;
}

/** Picks the rows of batches that a filter wants; its signals are looked at elsewhere. May throw BatchMalformedError. */
export function wantedRows(filter: ExporterFilter | undefined): (whole: CanonicalBatch) => WantedRows {
  const rows = rowFilter(filter);
  return (whole) => {
    const wholeItems = countItems(whole);
    const batch = rows === null ? whole : filterBatch(whole, rows);
    const items = batch === null || batch === whole ? (batch === null ? 0 : wholeItems) : countItems(batch);
    // Resources without records are nothing to a target.
    return { batch: items === 0 ? null : batch, items, filteredItems: wholeItems - items };
  };
}

/** Null: all rows. */
function rowFilter(filter: ExporterFilter | undefined): RowFilter | null {
  if (filter?.resource === undefined && filter?.attributes === undefined) return null;
  return {
    ...(filter.resource === undefined ? {} : { resource: filter.resource }),
    ...(filter.attributes === undefined ? {} : { attributes: filter.attributes }),
  };
}
