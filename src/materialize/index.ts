export { startEngine } from './engine.ts';
export { createEntryDecoder, type EntryDecoder } from './entry-decoder.ts';
export { endNativeCalls, exitAfterNativeCalls, showNativeCalls } from './native-calls.ts';
export { createThreadEnd, ENDABLE_THREAD_FLAGS, endThreads } from './thread-end.ts';
export { ReadFailure } from './loop-failures.ts';
export {
  type Engine,
  type EngineOptions,
  type BuildStatus,
  type EngineStatus,
  type IncompleteTables,
  type ProjectionStatus,
  type QuarantinedEntry,
  SQL_FORMATS,
  type SqlAnswer,
  type SqlFormat,
  type SqlParam,
  type SqlRequest,
} from './types.ts';
export type {
  UserProjectionProblem,
  UserProjectionScan,
  UserProjectionState,
  UserProjectionStatus,
} from './user-projections/types.ts';
export {
  type EngineHealth,
  type SuperviseOptions,
  superviseEngine,
  type SupervisedEngine,
} from './supervised-engine.ts';
export { seeTableChanges } from './table-changes.ts';
export type { FlushedFiles, TableFolder, TableFolderFormat, TableFolderState } from './table-folder.ts';
export { openTableFolder, readTableFolder } from './table-folders.ts';
export { loadScans, type ScanMakers } from './scan/load-scans.ts';
export { FELL, NO_SUM, OTHER_BUCKETS_USED, UNKNOWN_ORDINAL } from './scan/types.ts';
export type {
  ActivityChunk,
  ExemplarChunk,
  ExponentialHistogramChunk,
  HistogramChunk,
  MetricScans,
  PointColumns,
  SampleChunk,
  SamplesRequest,
  SeriesBeginnings,
  StoredResource,
  StoredScope,
  StoredSeries,
  SummaryChunk,
} from './scan/types.ts';
