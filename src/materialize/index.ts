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
