export {
  type Appended,
  type AppendOptions,
  type DurablePosition,
  ENTRY_FLAGS,
  ENTRY_KINDS,
  type EntryKind,
  type LogEntry,
  type LogStatus,
  type LogStream,
  type StateUpdate,
} from './types.ts';
