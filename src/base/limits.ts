import { PUSH_LIMITS } from './push-limits.ts';

/**
 * Every limit of the server, each with its reason. Bytes unless the name says otherwise.
 * `checkLimits()` of check-limits.ts runs at start: limits that contradict each other stop the process there and not under load.
 */
const KIB = 1024;
const MIB = 1024 * KIB;

export const LIMITS = {
  /** One message on the wire, before decompression. The upstream receivers take 4 MiB; an exporter set to large batches needs more. */
  messageBytesMax: 64 * MIB,
  /** One message after decompression: the same as on the wire, so a compressed message is never worth more than a plain one. */
  decompressedBytesMax: 64 * MIB,
  /** The largest zstd window: what klauspost's and libzstd's decoders take by default (2^25). */
  zstdWindowBytesMax: 32 * MIB,
  /** Payloads of a batch: there are 27 payload types and each occurs at most once. */
  batchPayloadsMax: 32,
  /** Arrow buffers of one batch after decompression: 16 times the message is more than any real ratio seen (5). */
  batchDecodedBytesMax: 256 * MIB,
  /** Rows of one table or dictionary of a batch: a bound for the sizes that follow from it. */
  tableRowsMax: 16_777_216,
  /** Log records, spans or metrics of a batch: twice what their u16 ids tell apart, as rows without attributes need none. */
  rootRowsMax: 131_072,
  /** Rows of all tables of a batch: 32 for each root. Rows of null columns take no bytes, but each costs 3 us to write. */
  batchRowsMax: 4_194_304,
  /** Length of one Arrow array (list children too): their 32-bit offsets end there. */
  arrayLengthMax: 2_147_483_647,
  /** Fields of a schema, nested ones included: the widest OTAP table has 36. */
  schemaFieldsMax: 1024,
  /** Nesting of a schema's fields: OTAP ends at 3 (list of struct of value). */
  schemaDepthMax: 16,
  /** Length of a schema id: exporters use decimal counters. */
  schemaIdBytesMax: 256,
  /** (payload type, schema id) pairs of a stream: exporters replace a schema a few times per type. */
  streamSchemasMax: 1024,
  /** Schema and dictionary messages carried for one stream; past it the stream is ended and its exporter reconnects. */
  streamStateBytesMax: 4 * MIB,
  /** The same over all streams: 16 streams at their bound. */
  streamStatesBytesMax: 64 * MIB,
  /** Dictionary entries decoded and kept for one stream in the materializer. */
  streamDictionaryBytesMax: 128 * MIB,
  /** Age at which a stream is ended with OK. Go exporters end theirs after 30 s; Rust ones never do. */
  streamAgeMaxMs: 10 * 60_000,
  /** Streams open at a time. A Collector opens one a signal and two cores. */
  streamsMax: 1024,
  /** HPACK dynamic table: the default of RFC 7541, which exporters keep. */
  hpackTableBytesMax: 4096,
  /** Headers of one batch after HPACK decoding. */
  batchHeadersBytesMax: 64 * KIB,
  /** Garbage on the main thread's heap between two collections: that of some 50 MB of messages. */
  heapGarbageBytesMax: 64 * MIB,
  /** Bytes received and not yet durable over all streams; past it batches are refused. */
  inFlightBytesMax: 64 * MIB,
  /** Bytes received and not yet durable of one stream; reading of that stream stops there. */
  streamInFlightBytesMax: 16 * MIB,
  /** Where reading stops: well below, since streams pass it together, each with one message of a size not known before. */
  inFlightReadBytesMax: 32 * MIB,
  /** How long a stream is not read from before its batches are read on and refused: they count against the exporter's 5 s too. */
  readHoldMaxMs: 900,
  /** Statuses that wait for a client that does not read them; reading of its stream stops there. */
  streamStatusesMax: 256,
  /** Time for a client to take its last statuses and the end of a stream before the stream is cut. */
  streamEndMaxMs: 5_000,
  /** HTTP/2 flow control of one gRPC stream: 38 MB/s at 50 ms of round trip, where the default of 64 KiB gives 1.2. */
  grpcStreamWindowBytes: 4 * MIB,
  /** The same of one connection: two busy streams. */
  grpcSessionWindowBytes: 8 * MIB,
  /** A peer that vanished is found by an unanswered ping, and its streams' state freed. */
  grpcKeepaliveIntervalMs: 60_000,
  grpcKeepaliveTimeoutMs: 20_000,
  /** How long a batch may wait for its fsync before it is refused with UNAVAILABLE: exporters resend after 5 s. */
  appendWaitMaxMs: 4_000,
  /** OTLP requests over gRPC that arrive or wait to be decompressed, over all calls: two of the largest. */
  otlpWaitingBytesMax: 128 * MIB,
  /** Time for an OTLP request to arrive: exporters give up after 5 to 10 s, and what they have sent until then is held. */
  otlpReceiveMaxMs: 60_000,
  /**
   * An OTLP request in JSON, before and after decompression: what a Collector takes. It is read on the main thread, at 12 to 30 ns a
   * byte: 0.25 s, and 0.6 s for the worst.
   */
  otlpJsonBytesMax: 20 * MIB,
  /** How long OTLP requests are decompressed one after the other before the event loop runs: OTAP streams wait that much longer. */
  decompressSliceMs: 20,
  /** When senders of OTLP are told to come again: a full disk is tried as often, and what is in flight is durable long before. */
  otlpRetryAfterMs: 1_000,
  /** One group commit, unless a single record is larger. Larger ones are no faster on any disk measured, and all in them wait longer. */
  frameBytesMax: 2 * MIB,
  frameEntriesMax: 4096,
  /**
   * Zeros written ahead of small frames: several of them to a commit of the file system's journal, and a write that delays none for long.
   * 16 writers of 4 KiB get 7 % more through than with 256 KiB. 1 MiB gives no more, and where a virtual machine has to ask for the memory
   * first, its pages come as one piece that takes 2.4 ms.
   */
  logZeroedBytes: 512 * KIB,
  /** Frames above it take longer than the commit that they would spare. */
  logZeroedFrameBytesMax: 128 * KIB,
  /** A segment is sealed at this size or age, whichever comes first. */
  segmentBytesMax: 64 * MIB,
  segmentAgeMaxMs: 10 * 60_000,
  /** How often the log looks for segments that lack their seal, or are old enough for it while nobody sends: a backup waits for no more. */
  sealIntervalMs: 10_000,
  /** STATE entries of a segment that do not count towards its size: those of all streams once. */
  segmentStateBytesMax: 64 * MIB,
  /** Time from a durable frame to its row in the log's index: few transactions, and little to scan after a crash. */
  indexIntervalMs: 100,
  /** Frames waiting for the index while its disk is full; past it the index stops and is caught up at the next start. */
  indexPendingFramesMax: 100_000,
  /** How often the log tries its disk while it refuses appends and nobody sends: health turns green without traffic. */
  logProbeIntervalMs: 1_000,
  /** How often the log looks whether its directory is there and lets it make files: health says so before a segment is due. */
  logDirectoryIntervalMs: 1_000,
  /** A group commit that takes longer is told in the health of the log, which is well until it takes `appendWaitMaxMs`: disks need 1 to 20 ms. */
  slowCommitMs: 500,
  /** How long after a slow commit that is told, when there is no other. */
  slowCommitShownMs: 60_000,
  /** Written to find out whether the disk has room again: more than an empty block group's last blocks. */
  logProbeBytes: 256 * KIB,
  /** Free space of the log's disk that is left alone, at least (and at least two segments): below it appends are refused before the disk does. */
  diskReserveBytes: 256 * MIB,
  /** How often free space and retention are looked at: intake resumes by then once there is room. */
  retentionIntervalMs: 1_000,
  /** After a deletion for the reserve: some file systems give the space back a little later, and more would be deleted for nothing. */
  diskSettleMs: 5_000,
  /** Part of the free space at start that the log may grow by unless told otherwise, in percent: tables and others need some too. */
  logGrowthPercentMax: 80,
  /** Segments of a log that may keep little are smaller than `segmentBytesMax`, so that deleting one does not take half of it. */
  retainedSegmentsMin: 8,
  /** A clock that is off by more than this was set: more than a thread waits between two looks at it, less than the steps that NTP makes. */
  clockStepMs: 100,
  /** A step of the clock by more than this is a jump: NTP corrects less at a time. */
  clockSlackMs: 60_000,
  /** How long a clock that jumped ahead has to stay there before segments age by it: time to notice, and servers restarted nightly age still. */
  clockTrustMs: 6 * 60 * 60_000,
  /**
   * A start that is longer past the newest entry is doubted as a jump ahead is: servers that are off for weeks are frequent, and clocks that
   * are wrong at start are so by years. Wrongly doubted, data ages some hours later.
   */
  clockAbsenceMaxMs: 30 * 24 * 60 * 60_000,
  /** A clock that shows less (2020) has not been set: what it says is no time of receipt. */
  clockSetUnixMs: Date.UTC(2020, 0, 1),
  /** Lines in the record of deletions; the older half is summed up in one line then: about 200 KB. */
  deletionRecordsMax: 1_000,
  /** How often the log asks how far the tables are: it keeps what they need a little longer for it. */
  tablesHoldIntervalMs: 2_000,
  /** How long a deletion waits for a consumer to say where it is: the log may be refusing entries meanwhile. */
  holdAnswerMaxMs: 1_000,
  /**
   * No segment begins at or above it: a million entries a second reach it after 142 years, and the offsets behind it are still exact in
   * JavaScript's numbers and in SQLite. A file name or an index that says more is not of this log.
   */
  baseOffsetMax: 2 ** 52,
  /** One read of a segment: large enough for sequential speed, small enough to allocate per read. */
  logReadBytes: 1 * MIB,
  /** Rows at which a DuckDB transaction commits: one row group. */
  commitRowsMax: 122_880,
  /** Time after which a DuckDB transaction with rows commits. */
  commitIntervalMs: 1_000,
  /** Longest time between two runs of the tables' retention: rows are seen for that much longer than their age, and a run costs 25 to 200 ms. */
  tablesRetentionIntervalMaxMs: 60_000,
  /** The interval of short ages, which is a tenth of them otherwise. */
  tablesRetentionIntervalMinMs: 1_000,
  /** Rows deleted by one statement: 10 to 40 ms, and four times what comes in with one commit. */
  retentionSliceRowsMax: 491_520,
  /** References to resources, scopes or series looked up by one statement: 20 ms. */
  retentionScanRowsMax: 1_000_000,
  /** Resources, scopes or series deleted in one transaction: their keys are JavaScript values then. */
  retentionKeysMax: 20_000,
  /** Deleted rows after which the blocks of their row groups are freed by a checkpoint; DuckDB's own ones wait for 64 MB to write. */
  retentionCheckpointRows: 122_880,
  /** Tables below this are not written again to give disk back. */
  rewriteBytesMin: 64 * MIB,
  /** Time that one slice of that should take: as long as a commit. Rows a slice are found by it. */
  rewriteSliceMs: 200,
  /** Between two of them: what a reader of old rows has pinned is free by then. */
  rewriteIntervalMs: 60 * 60_000,
  /** Log bytes of a DuckDB transaction: rows of long bodies are held in memory until the commit, and few make a row group. */
  commitBytesMax: 64 * MIB,
  /** Time the materializer works on one frame before it lets queries have the thread. */
  materializeSliceMs: 20,
  /**
   * Block of a new database file: each table takes at least one, and one for what is told of it. Below this DuckDB packs no integers; above,
   * small tables and the ends of columns show.
   */
  tablesBlockBytes: 64 * KIB,
  /** Bytes of write-ahead log at which DuckDB's file takes them in: replaying that much at start takes about 0.4 s. */
  walBytesMax: 64_000_000,
  /** Share of the time, in percent, that building versions gets of a materializer that never waits: no more lag than its lag has anyway. */
  buildSharePercent: 10,
  /** Dictionary bytes of the streams that a build decodes. It reads each segment once, so a forgotten stream is rare. */
  buildStatesBytesMax: 64 * MIB,
  /** Time after which a transaction of a build commits: nobody waits for its rows, and small transactions cost more. */
  buildCommitIntervalMs: 5_000,
  /** How often the log line of a build comes. */
  buildTellIntervalMs: 10_000,
  /** The time that the rate of a build is taken over. */
  buildRateWindowMs: 30_000,
  /** Longest wait before a build that failed is tried again; the first one is a store's. What serves goes on, so nobody is in a hurry. */
  buildRetryMaxMs: 5 * 60_000,
  /**
   * Free disk that builds leave alone: the log's reserve, below which entries are refused, and room for DuckDB's write-ahead log, which is
   * about twice `walBytesMax` while its bytes are taken in.
   */
  buildDiskReserveBytes: 384 * MIB,
  /** How often a build that waits for free disk looks again. */
  buildSpaceIntervalMs: 2_000,
  /** First and longest wait before a store that failed is tried again. */
  storeRetryMinMs: 250,
  storeRetryMaxMs: 30_000,
  /** Tries of a single entry that runs out of memory before it is the entry's fault: queries give theirs back within a minute. */
  entryMemoryAttemptsMax: 6,
  /** Quarantined entries shown in the status; the table has all. */
  quarantineShownMax: 20,
  /** Ranges of offsets shown in the status that were deleted before they were in the tables; each was logged. */
  lostRangesShownMax: 20,
  /** Length of a quarantine reason: enough for two names from the wire. */
  quarantineReasonCharsMax: 1024,
  /** Dictionary bytes over all streams in the materializer. Past it the stream used longest ago is forgotten and read again. */
  decoderStatesBytesMax: 256 * MIB,
  /** JavaScript heap of the engine's thread in MiB; columns and dictionaries live outside of it. */
  engineHeapMibMax: 512,
  /** Young part of that heap: start-up alone fills the 16 MB that V8 allows, and no row is materialized faster for it (same CPU a row). */
  engineYoungHeapMibMax: 2,
  /** Time the engine has to commit and close before its thread is ended; shorter than the whole shutdown. */
  engineStopMaxMs: 8_000,
  /** The same in a shutdown whose other parts took all the time. */
  engineStopMinMs: 500,
  /** Time that is kept back in a shutdown for ending the engine's thread when that was not enough. */
  engineBreakOffMaxMs: 3_500,
  /** Text of one batch on its way into DuckDB: six times the decoded bytes is what JSON escapes can make of them. */
  arenaBytesMax: 1536 * MIB,
  /** A buffer of the string arena that a large batch grew beyond this is given back after it. */
  arenaRetainedBytesMax: 32 * MIB,
  /** SQL over HTTP. */
  sqlTextBytesMax: 1 * MIB,
  sqlRowsMax: 10_000_000,
  sqlTimeoutMs: 60_000,
  sqlConcurrencyMax: 2,
  sqlQueueMax: 64,
  /**
   * Time in which a thread that is to end now takes notice, before what it runs is ended for that: a commit of one row group blocks it for up
   * to 1.3 s.
   */
  threadHearMaxMs: 2_000,
  /** Encoded answer bytes between the engine thread and a slow client. */
  answerBufferedBytesMax: 8 * MIB,
  /** Keys of resources, scopes or series remembered per table to spare writing them again: 16 bytes each in a half-full table, 64 MB. */
  knownDimensionKeysMax: 2_000_000,
  /** CBOR nesting of attribute and body values. */
  cborDepthMax: 64,
  /** How long HTTP answers under way may take at shutdown; a client asks again. */
  httpDrainMaxMs: 2_000,
  /** Head of a request to the HTTP port, URL included: what Prometheus reads. Dashboards may ask with GET, and their queries are long. */
  httpHeadBytesMax: 1 * MIB,
  /** Pulls of the log and of tables at a time: each holds its buffer, and all share one thread. */
  pullsMax: 64,
  /** What a pull's thread hands over at a time; a single larger frame goes whole. */
  pullChunkBytes: 1 * MIB,
  /** Bytes read for a pull and not yet taken by its connection: two parts, so that reading and sending overlap. */
  pullBufferedBytesMax: 2 * MIB,
  /** A record batch of decoded tables, about: what a pull reads ahead, and one larger entry goes alone. */
  pullDecodedBatchBytes: 2 * MIB,
  /** What is written to a connection at a time: a client that takes no more than this in `pullStallMaxMs` counts as not reading. */
  pullWriteBytes: 256 * KIB,
  /** How long a client may not read before its pull is cut. It goes on where it was, whenever it comes back. */
  pullStallMaxMs: 30_000,
  /** TCP asks a silent client whether it is there: a pull that follows a quiet log has nothing to say for hours. */
  pullKeepAliveMs: 30_000,
  /** The thread of pulls ends when there was none for this long. */
  pullIdleMaxMs: 10_000,
  /** Time that one pull works before the others have their turn. */
  pullSliceMs: 10,
  /** JavaScript heap of the thread of pulls in MiB; frames live outside of it. */
  pullHeapMibMax: 512,
  /** Rows of one range of a view, at most and at first. One larger entry makes a larger range. */
  pullRangeRowsMax: 16_384,
  /** What a range of a view should take, by which its rows are found: held a few times on the way out, and until garbage is collected. */
  pullRangeTargetBytes: 12 * MIB,
  /** Ranges of several entries that are larger are halved: the rows behind were wider than those before. */
  pullRangeBytesMax: 32 * MIB,
  /** One entry of a view, a record batch: one that is larger cannot be had. */
  pullBatchBytesMax: 128 * MIB,
  /** Tries of a range that an engine which is busy or starts again did not answer; a second in between. */
  pullRangeTriesMax: 10,
  pullRetryMs: 1_000,
  /** Entries of one range of a view: passed by quickly where the view has no rows. */
  pullRangeEntriesMax: 65_536,
  /** How often a pull that follows a view looks how far the tables are: they commit once a second. */
  pullTablesIntervalMs: 250,
  /** OTLP over HTTP: time for the head of a request. It fits one packet. */
  otlpHttpHeadMaxMs: 10_000,
  /** Time for a whole request. Exporters give up by themselves: SDKs after 10 s, the Collector after 30 s. */
  otlpHttpRequestMaxMs: 60_000,
  /** Time without a byte of a body that has begun: what came of it takes room from others. */
  otlpHttpStallMaxMs: 10_000,
  /** How long an unused connection is kept: SDKs send every 5 to 60 s, and Go's clients close theirs after 90 s themselves. */
  otlpHttpIdleMaxMs: 120_000,
  /** Bodies that arrive, over all connections: two of the largest. Past it the one that has been silent longest gives way. */
  otlpHttpArrivingBytesMax: 128 * MIB,
  /** Connections open at a time: three signals of 680 programs. Past it a connection gets 503 and its end. */
  otlpHttpConnectionsMax: 2048,
  /** Connections past that bound that are there to be told so; still more are dropped. */
  otlpHttpExcessConnectionsMax: 256,
  /** Requests whose body is there and that are not answered yet; past it they get 503. Slow senders do not count. */
  otlpHttpRequestsMax: 1024,
  /** What is left of a refused body is read and thrown away up to here, to keep the connection; past it the connection ends. */
  otlpHttpDiscardBytesMax: 1 * MIB,
  /** How long a connection that ends is read from, so that its client, still sending, finds the answer and no reset. */
  otlpHttpLingerMaxMs: 1_000,
  /** How long health and status wait for the engine: a commit of one row group blocks its thread for up to 1.3 s. */
  engineAnswerMaxMs: 3_000,
  /** Starts of a dead engine in a row, each after twice the wait of the one before (1 to 16 s), before it stays down. */
  engineRestartsMax: 5,
  engineRestartMinMs: 1_000,
  /** An engine that has lived this long has recovered: its next death is a new one. */
  engineRecoveredMs: 10 * 60_000,
  /** Deaths of the engine's thread over one entry before it is left out: the first may be the fault of what was beside it in memory. */
  entryThreadDeathsMax: 2,
  /**
   * The same where the process ended too. That comes from outside as well, and a machine that is restarted over and over may do it at the same
   * moment after each start, with the same entry in hand: so often in a row only when the entry is the reason.
   */
  entryDeathsMax: 8,
  /** Longest work on one entry before its thread counts as hanging: the largest batch takes some seconds on a busy machine. */
  entryWorkMaxMs: 60_000,
  /** How often that is looked at. A process that was stopped for a while does not count the time. */
  engineWatchIntervalMs: 1_000,
  /** Rows of a row group in Parquet files: DuckDB's own, which is what it writes and reads in one go. */
  parquetRowGroupRows: 122_880,
  /** Rows, bytes of records and age at which a folder of tables writes files: few large ones, and no more memory than a busy server has. */
  folderFlushRowsMax: 491_520,
  folderFlushBytesMax: 128 * MIB,
  folderFlushIntervalMs: 60_000,
  /** Commits of a Delta table from one checkpoint to the next: what Delta Lake does by default, and at most so many files are read to open it. */
  deltaCheckpointCommits: 10,
  /** One action in a checkpoint that is written: a schema with thousands of columns. Memory for two is taken. */
  deltaActionBytesMax: 4 * MIB,
  /** How long checkpoints name files that others have removed: Delta Lake's own, so that readers of older versions find them. */
  deltaTombstoneMs: 7 * 24 * 60 * 60_000,
  /** Tries to make a commit of a Delta table while others commit to it too. */
  deltaCommitTriesMax: 16,
  /** First and longest wait before a pull asks again when the server is gone. */
  pullRetryMinMs: 500,
  pullRetryMaxMs: 30_000,
  /** Tries in a row that bring no entry before a pull that does not follow gives up: three minutes. */
  pullRetriesMax: 10,
  /** How often a pull asks how far the server is, to say how much is left. */
  pullStatusIntervalMs: 5_000,
  /** How long a rebuild waits for tables that do not take rows: what passes by itself has passed by then. */
  rebuildStuckMaxMs: 30_000,
  /** How long a command that waits for a server's work waits for a server that is gone: its recovery of a large log takes minutes. */
  serverLostMaxMs: 10 * 60_000,
  /** Cursors: each is a small file that is read at start, a hold that retention asks, and a row of the status. */
  cursorsMax: 256,
  /** A cursor file takes some 300 bytes. */
  cursorFileBytesMax: 4 * KIB,
  /** Least time between two writes of one cursor: after a crash so much is sent again at most, and the disk syncs for the log besides. */
  cursorWriteIntervalMs: 250,
  /** How long a cursor that could not be written waits for the next try. */
  cursorRetryMs: 1_000,
  /** One dictionary that is sent: so long values repeat too seldom for what the receiver keeps of a stream. */
  encoderDictionaryBytesMax: 1 * MIB,
  /** The buffer of an encoder that a large batch grew beyond this is given back with the next one. */
  encoderOutputRetainedBytesMax: 8 * MIB,
  ...PUSH_LIMITS,
  /** Projections of users: each costs a statement for every commit of the materializer. */
  userProjectionsMax: 64,
  /** Text of one of them: far more than anybody writes by hand. */
  userProjectionTextBytesMax: 64 * KIB,
  /** Entries of one range, at most: a log of 100 million entries without rows for it is passed in seconds. */
  userRangeEntriesMax: 65_536,
  /** Rows that a range may give: they are written in one transaction. One that would give more is halved. */
  userRangeRowsMax: 245_760,
  /** The same of a range of one entry, which cannot be halved: the rows of a whole batch. */
  userEntryRowsMax: 4_194_304,
  /** Time that a range should take, by which its size is found: short enough for others to come in between. */
  userRangeTargetMs: 200,
  /** Time after which the statement of a range is stopped and the range halved. */
  userRangeMaxMs: 5_000,
  /** The same of a range of one entry, which is passed by then. */
  userEntryMaxMs: 30_000,
  /** Rest after a range while the materializer is behind, as a multiple of the time it took: a tenth of the time is left to users then. */
  userRestFactor: 9,
  /** Entries in a row that a statement fails on before it is taken for wrong and stopped. */
  userFailuresInRowMax: 16,
  /** How often it is looked whether the process has come to rest after work. */
  restIntervalMs: 5_000,
  /** CPU that a process at rest may use, in percent of one core: less than a trickle of telemetry does, which V8 collects after by itself. */
  restCpuPercentMax: 3,
  /** Time from SIGTERM to a forced exit. */
  shutdownMaxMs: 10_000,
  /** Levels of a PromQL expression: who walks trees by recursion needs a stack for it. No query that a person or a dashboard wrote comes near. */
  promqlDepthMax: 500,
  /** Levels when those count, too, that chains of operators make (`a or b or c` has two): generated queries have hundreds. Twice as many overflow the stack of a main thread (1 MiB); that of the thread that evaluates is larger. */
  promqlChainDepthMax: 1_500,
  /** Values of one series in the notation of unit tests, where a few characters repeat one a million times. */
  promqlSeriesValuesMax: 1_000_000,
  /** Characters of a label that an expression makes: nobody reads longer ones, and V8 ends the process when it has no room for a large string. */
  promqlLabelLengthMax: 65_536,
  /** Time for which an evaluation of PromQL keeps its thread, between chunks of work: others wait no longer for theirs, and an abort is seen. */
  promqlSliceMs: 20,
  /** Requests of the Prometheus API that are worked on at a time: what Prometheus itself allows. */
  prometheusConcurrencyMax: 20,
  /** Requests that wait for that; past it they get 503. A dashboard sends some dozens at once, and many may be opened at the hour. */
  prometheusQueueMax: 1024,
  /** Questions of that thread to the store at a time: fewer than the engine queues, so that SQL of others finds room. */
  prometheusAsksMax: 8,
  /** Bytes of one answer between that thread and a slow client. */
  prometheusBufferedBytesMax: 1 * MIB,
  /** The same of all answers: many clients that do not read take no more than this, and a chunk each. */
  prometheusBufferedTotalBytesMax: 64 * MIB,
  /** Results in memory whose answers wait for their readers: their requests leave their places to others. Larger ones keep them. */
  prometheusHeldBytesMax: 256 * MIB,
  /** How long such a larger one may wait for its reader while others wait for its place: what a gateway grants an answer. */
  prometheusUnreadMaxMs: 60_000,
  /** JavaScript heap of that thread in MiB: labels of a million series; samples lie outside of it. */
  prometheusHeapMibMax: 1536,
  /** Points that this thread keeps for the next who asks for the same series, 16 bytes a sample: two hours of some 17,000 series every 15 s. */
  prometheusKeptBytesMax: 128 * MIB,
  /**
   * Room of summed native histograms that this thread keeps for its next query: a range query over 1,000 series makes so much for each of
   * its functions.
   */
  promqlSpareColumnsBytesMax: 32 * MIB,
  /** JSON of lists of label values that this thread keeps for the next who asks: half a million names of pods. */
  prometheusKeptListsBytesMax: 16 * MIB,
  /** That thread ends, and its index of series goes, when nobody asked for this long: dashboards come back every few seconds or minutes. */
  prometheusIdleMaxMs: 5 * 60_000,
  /** How much longer than its time limit a query may take to say so, before it is answered without its thread. */
  prometheusLateMs: 5_000,
  /** Seconds after which a client that got 503 may come again. */
  prometheusRetryAfterSeconds: 1,
  /** Form of a request: what Go's servers read, Prometheus too. */
  prometheusFormBytesMax: 10 * MIB,
  /** All forms in memory at a time, but for small ones: what is larger than any dashboard's does not add up. */
  prometheusFormsBytesMax: 64 * MIB,
  prometheusSmallFormBytesMax: 64 * KIB,
  /** Characters of an expression: parsing holds its thread for seconds at a few millions. */
  prometheusQueryLengthMax: 2_000_000,
  /** The same of one that is laid out: each of its lines may begin with a thousand spaces. */
  prometheusLaidOutLengthMax: 100_000,
  /** Parameters of a request: what Go's servers read. */
  prometheusParametersMax: 10_000,
  /** Points of a series in an answer to a range query: Prometheus' own bound. */
  prometheusPointsMax: 11_000,
  /** How long a PromQL query may take, how many samples it may hold, and how far it looks back for one: Prometheus' own defaults. */
  prometheusTimeoutMs: 120_000,
  /** The longest time limit that may be set: Node's timers end at 24 days. */
  prometheusTimeoutMaxMs: 24 * 60 * 60_000,
  prometheusSamplesMax: 50_000_000,
  /** Memory of all PromQL queries that are evaluated at a time: one that holds all the samples it may, at 24 bytes, and some beside it. Others wait for theirs. */
  prometheusMemoryBytesMax: 1536 * MIB,
  prometheusLookbackMs: 300_000,
  /** Most entries of each list of `status/tsdb`. */
  prometheusCardinalityMax: 10_000,
} as const;
