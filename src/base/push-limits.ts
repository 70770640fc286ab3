/** The limits of exporters, a part of `LIMITS`, with their reasons. Bytes unless the name says otherwise. */
const KIB = 1024;
const MIB = 1024 * KIB;

export const PUSH_LIMITS = {
  /** One exporter's configuration, as file and as request: headers with a token, a filter, an address. */
  exporterConfigBytesMax: 64 * KIB,
  /** Headers and filtered attributes of an exporter, each. */
  exporterFieldsMax: 64,
  /** How long an exporter may take to end its connections before the worker is ended with all of them. */
  pushWorkerStopMaxMs: 4_000,
  /** Starts of a dead worker of exporters in a row, each after twice the wait of the one before (1 to 32 s), before it stays down. */
  pushRestartsMax: 6,
  pushRestartMinMs: 1_000,
  /** A worker of exporters that has lived this long has recovered: its next death is a new one. */
  pushRecoveredMs: 10 * 60_000,
  /** Reasons of entries set aside, one file: some 50,000 of them. The file before it is kept beside it. */
  setAsideFileBytesMax: 8 * MIB,
  /** Entries set aside that the status shows. */
  setAsideShownMax: 10,
  /** Times at which the log was so far, to tell how old what an exporter has not sent is: 17 minutes by the second, thinned out after. */
  lagSamplesMax: 1024,
  /** An exporter: batches read and not yet answered. Reading ahead hides the target's answers; small ones wait to go out together. */
  pushBatchesMax: 1_024,
  /** The same in bytes of the log. One larger entry goes alone. */
  pushInFlightBytesMax: 16 * MIB,
  /** The same in items, since dictionaries make few bytes of many: eight of the largest requests. One larger entry goes alone here too. */
  pushInFlightItemsMax: 65_536,
  /** Batches of one lane that go out as one, and their bytes in the log: some thousand a second where the way there and back takes 0.1 s. */
  pushMergedBatchesMax: 512,
  pushMergedBytesMax: 1 * MIB,
  /** Requests of one lane under way, as a configuration may ask for: as many as a stream of OTAP has without a status. */
  exporterInFlightMax: 16,
  /** Batches of one OTAP stream that are sent and not answered. */
  pushWindowBatches: 16,
  /** Items of one request: larger batches go out in pieces. Below 4 MiB with items of up to 500 bytes. */
  pushItemsMax: 8_192,
  /** One message before compression: gRPC receivers take 4 MiB unless told otherwise. What is larger goes out in smaller pieces. */
  pushMessageBytesMax: 4 * MIB - 64 * KIB,
  /** An answer of a target, or a status on a stream: a few bytes and a reason. */
  pushAnswerBytesMax: 256 * KIB,
  /** Time for a connection to a target. */
  pushConnectMaxMs: 10_000,
  /** Time for an answer; on a stream, for the next one. The batch is sent again then, so slow targets get more than exporters give them (5 s). */
  pushAnswerMaxMs: 30_000,
  /** Age at which an OTAP stream of ours is ended and another begun: what the stock exporter does. */
  pushStreamAgeMaxMs: 30_000,
  /** Schemas and dictionaries sent on one OTAP stream: below what our receiver takes, so that the stream ends by our doing. */
  pushStreamStateBytesMax: 3 * MIB,
  /** First and longest wait before a target that fails is tried again. */
  pushRetryMinMs: 500,
  pushRetryMaxMs: 30_000,
  /** The longest wait that a target may ask for. */
  pushRetryAfterMaxMs: 5 * 60_000,
  /** Tries of a batch that its target refuses before it is set aside: with the waits in between 8 s, so that a target may come to itself. */
  exportTriesMax: 5,
  /** Batches set aside in a row: a target that refuses that many refuses everything, and waits for somebody to look at it. */
  exportSetAsideRunMax: 100,
  /** How long an exporter that is stopped waits for answers: what has none by then is sent again. */
  pushStopMaxMs: 2_000,
  /** How often an exporter that moves tells so: what a kill repeats beyond what was in flight. */
  pushProgressIntervalMs: 200,
  /** Time one exporter works before the others have their turn. */
  pushSliceMs: 10,
  /** Rows of an exporter to a folder that are in no file yet, and how long they wait: larger files, later seen, read again after a kill. */
  pushFolderRowsMax: 250_000,
  pushFolderIntervalMs: 60_000,
  /** Memory of DuckDB for one such exporter in MB: the rows above, and what writing them takes. */
  pushFolderMemoryMb: 256,
  /** JavaScript heap of the exporters' thread in MiB; columns and requests live outside of it. */
  pushHeapMibMax: 512,
} as const;
