-- What is told of versions of projections. A third state: 'rebuilding', the same version anew in tables <name>__next.
-- All entries from here on that the log had are in the tables; of earlier ones those that were there at the time.
ALTER TABLE meta.projections ADD COLUMN first_offset UBIGINT DEFAULT 0;
-- Where the log ended when the version was begun: until then its tables lack rows.
ALTER TABLE meta.projections ADD COLUMN target_offset UBIGINT DEFAULT 0;
