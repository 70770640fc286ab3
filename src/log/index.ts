export {
  type Appended,
  type AppendOptions,
  type DurablePosition,
  ENTRY_FLAGS,
  ENTRY_KINDS,
  type EntryKind,
  type Log,
  type LogEntry,
  type LogReader,
  type LogStatus,
  type LogStream,
  type StateUpdate,
} from './types.ts';
