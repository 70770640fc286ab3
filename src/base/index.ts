export { assert, AssertionError } from './assert.ts';
export { checkLimits } from './check-limits.ts';
export { type Clock, systemClock } from './clock.ts';
export { ENTRY_TABLES, type EntryTable } from './entry-tables.ts';
export {
  BatchMalformedError,
  BatchTooLargeError,
  type ErrorCode,
  errorMessage,
  LogUnavailableError,
  OffsetOutOfRangeError,
  type SerializedError,
  TreasuryError,
} from './errors.ts';
export { createFile, hiddenPath, readIfThere } from './created-file.ts';
export { encodeFlatBuffer, type FlatField, i16, i32, i8 } from './flatbuffer.ts';
export { freePath } from './free-path.ts';
export { LIMITS } from './limits.ts';
export {
  createLogger,
  type Logger,
  type LoggerOptions,
  type LogFields,
  type LogLevel,
  silentLogger,
} from './logger.ts';
export { type AppliedStep, type MigrationStep, pendingSteps, readMigrationSteps } from './migration-steps.ts';
export { nearest } from './nearest.ts';
export {
  HISTOGRAM_FORMS,
  PROMETHEUS_FEATURES,
  type PrometheusFeature,
  PROMOTED_RESOURCE_ATTRIBUTES,
  TRANSLATION_STRATEGIES,
} from './prometheus.ts';
export { refuseOtherThanFile } from './regular-file.ts';
export { makeFolder, removeFile, replaceFile, syncPath, UNFINISHED_SUFFIX } from './replace-file.ts';
export { collectAtRest } from './rest.ts';
export { type Signal, SIGNAL_CODES, signalOfCode, SIGNALS } from './signals.ts';
export { serializedStoreError, transferableBytes } from './thread-messages.ts';
export { VERSION } from './version.ts';
export { createWake, type Wake } from './wake.ts';
