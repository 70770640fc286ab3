export { startEngine } from './engine.ts';
export { createEntryDecoder, type EntryDecoder } from './entry-decoder.ts';
export {
  type Engine,
  type EngineOptions,
  type EngineStatus,
  type ProjectionStatus,
  type QuarantinedEntry,
  SQL_FORMATS,
  type SqlAnswer,
  type SqlFormat,
  type SqlParam,
  type SqlRequest,
} from './types.ts';
export {
  type EngineHealth,
  type SuperviseOptions,
  superviseEngine,
  type SupervisedEngine,
} from './supervised-engine.ts';
