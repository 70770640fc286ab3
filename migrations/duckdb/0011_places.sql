-- Rows of large batches count on from batch to batch, and say where their batch began (docs/schema.md): the difference is the row, or the id of the
-- metric that a point belongs to. Rows that are there keep what they have.
ALTER TABLE store.samples_v1 ADD COLUMN row_place UINTEGER;
ALTER TABLE store.samples_v1 ADD COLUMN row_base UINTEGER;
ALTER TABLE store.samples_v1 ADD COLUMN parent_place UINTEGER;
ALTER TABLE store.samples_v1 ADD COLUMN parent_base UINTEGER;
ALTER TABLE IF EXISTS store.samples_v1__next ADD COLUMN row_place UINTEGER;
ALTER TABLE IF EXISTS store.samples_v1__next ADD COLUMN row_base UINTEGER;
ALTER TABLE IF EXISTS store.samples_v1__next ADD COLUMN parent_place UINTEGER;
ALTER TABLE IF EXISTS store.samples_v1__next ADD COLUMN parent_base UINTEGER;

ALTER TABLE store.histograms_v1 ADD COLUMN row_place UINTEGER;
ALTER TABLE store.histograms_v1 ADD COLUMN row_base UINTEGER;
ALTER TABLE store.histograms_v1 ADD COLUMN parent_place UINTEGER;
ALTER TABLE store.histograms_v1 ADD COLUMN parent_base UINTEGER;
ALTER TABLE IF EXISTS store.histograms_v1__next ADD COLUMN row_place UINTEGER;
ALTER TABLE IF EXISTS store.histograms_v1__next ADD COLUMN row_base UINTEGER;
ALTER TABLE IF EXISTS store.histograms_v1__next ADD COLUMN parent_place UINTEGER;
ALTER TABLE IF EXISTS store.histograms_v1__next ADD COLUMN parent_base UINTEGER;

ALTER TABLE store.exp_histograms_v1 ADD COLUMN row_place UINTEGER;
ALTER TABLE store.exp_histograms_v1 ADD COLUMN row_base UINTEGER;
ALTER TABLE store.exp_histograms_v1 ADD COLUMN parent_place UINTEGER;
ALTER TABLE store.exp_histograms_v1 ADD COLUMN parent_base UINTEGER;
ALTER TABLE IF EXISTS store.exp_histograms_v1__next ADD COLUMN row_place UINTEGER;
ALTER TABLE IF EXISTS store.exp_histograms_v1__next ADD COLUMN row_base UINTEGER;
ALTER TABLE IF EXISTS store.exp_histograms_v1__next ADD COLUMN parent_place UINTEGER;
ALTER TABLE IF EXISTS store.exp_histograms_v1__next ADD COLUMN parent_base UINTEGER;

ALTER TABLE store.summaries_v1 ADD COLUMN row_place UINTEGER;
ALTER TABLE store.summaries_v1 ADD COLUMN row_base UINTEGER;
ALTER TABLE store.summaries_v1 ADD COLUMN parent_place UINTEGER;
ALTER TABLE store.summaries_v1 ADD COLUMN parent_base UINTEGER;
ALTER TABLE IF EXISTS store.summaries_v1__next ADD COLUMN row_place UINTEGER;
ALTER TABLE IF EXISTS store.summaries_v1__next ADD COLUMN row_base UINTEGER;
ALTER TABLE IF EXISTS store.summaries_v1__next ADD COLUMN parent_place UINTEGER;
ALTER TABLE IF EXISTS store.summaries_v1__next ADD COLUMN parent_base UINTEGER;

ALTER TABLE store.metrics_v1 ADD COLUMN row_place UINTEGER;
ALTER TABLE store.metrics_v1 ADD COLUMN row_base UINTEGER;
ALTER TABLE store.metrics_v1 ADD COLUMN id_shift INTEGER;
ALTER TABLE IF EXISTS store.metrics_v1__next ADD COLUMN row_place UINTEGER;
ALTER TABLE IF EXISTS store.metrics_v1__next ADD COLUMN row_base UINTEGER;
ALTER TABLE IF EXISTS store.metrics_v1__next ADD COLUMN id_shift INTEGER;
