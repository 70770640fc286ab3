export {
  type Cursor,
  type Cursors,
  type CursorsOptions,
  type CursorStatus,
  type DamagedCursor,
  openCursors,
} from './cursors.ts';
export { refuseOffset } from './cursor-slot.ts';
export { isCursorName } from './cursor-file.ts';
export { acquireDataDirectoryLock, type DataDirectoryLock } from './data-directory-lock.ts';
export { makeDurableDirectory } from './durable-directory.ts';
export { type EntryGap } from './entry-note.ts';
export { type EntryPull, type EntryPullOptions, openEntryPull, type PullStep } from './entry-pull.ts';
export { createEntryStreamReader, type EntryStreamReader } from './entry-stream.ts';
export { END_OF_STREAM } from './layout.ts';
export { type LogFile, type LogFileSystem, type LogReadFile } from './file-system.ts';
export { type LogLimits, type LogOptions, openLog } from './log.ts';
export {
  findDurablePosition,
  type LogExtent,
  readEntries,
  readEntriesWithState,
  readEntry,
  readLogExtent,
  readLogUuid,
  verifyLog,
} from './offline.ts';
export { type EntryPlace, findEntryPlace } from './offline-place.ts';
export { readDeletions, type RecordedDeletion } from './offline-deletions.ts';
export { listSegments, type OffsetGap, type SegmentSummary } from './offline-list.ts';
export { checkLog, type LogCheckStep, type LogFinding } from './offline-verify.ts';
export { firstReceivedSince, readReceivedAt, type ReceivedOffset } from './receipt.ts';
export { type RetentionSettings } from './retention.ts';
export { createRetentionClock } from './retention-clock.ts';
export { type LogReaderOptions, openLogReader } from './reader.ts';
export {
  type Appended,
  type AppendOptions,
  type DeletionCounts,
  DELETION_REASONS,
  type DeletionReason,
  type DurablePosition,
  ENTRY_FLAGS,
  ENTRY_KINDS,
  type EntryKind,
  type HoldOptions,
  type HoldPolicy,
  type HoldStatus,
  type Log,
  type LogEntry,
  type LogHold,
  type LogReader,
  type LogStatus,
  type LogStream,
  type RetainedLog,
  type RetentionStatus,
  type StateUpdate,
} from './types.ts';
