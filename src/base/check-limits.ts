import { assert } from './assert.ts';
import { LIMITS } from './limits.ts';

/** Throws when limits contradict each other. */
export function checkLimits(limits: typeof LIMITS = LIMITS): void {
  assert(limits.messageBytesMax <= limits.inFlightBytesMax, 'one message must fit the bytes in flight');
  assert(limits.inFlightReadBytesMax < limits.inFlightBytesMax, 'reading must stop before batches are refused');
  assert(limits.streamInFlightBytesMax <= limits.inFlightReadBytesMax, 'one stream must not hold up all');
  assert(
    limits.readHoldMaxMs + limits.appendWaitMaxMs < 5_000,
    "a batch that is held and then waits must be answered before the exporter's 5 s time-out",
  );
  assert(limits.messageBytesMax < limits.otlpWaitingBytesMax, 'one request must fit those that wait');
  assert(limits.grpcStreamWindowBytes <= limits.grpcSessionWindowBytes, 'a stream must fit its connection');
  assert(limits.commitRowsMax <= limits.retentionSliceRowsMax, 'retention must keep up with commits');
  assert(limits.frameBytesMax <= limits.segmentBytesMax, 'a frame must fit a segment');
  assert(limits.streamStateBytesMax <= limits.streamStatesBytesMax, 'the state of one stream must fit that of all');
  assert(limits.streamStatesBytesMax <= limits.segmentStateBytesMax, 'a segment must hold more than state');
  assert(2 * limits.segmentBytesMax <= limits.diskReserveBytes, 'the log must not fill its reserve between two checks');
  assert(
    limits.diskReserveBytes + 2 * limits.walBytesMax <= limits.buildDiskReserveBytes,
    'a build must not take the reserve of the log',
  );
  assert(limits.retentionIntervalMs < 5_000, 'intake must resume within 5 s of space returning');
  assert(limits.slowCommitMs < limits.appendWaitMaxMs, 'a disk must be told to be slow before entries are refused');
  assert(limits.clockSlackMs < limits.clockTrustMs, 'a jump of the clock must be doubted');
  assert(limits.clockTrustMs < limits.clockAbsenceMaxMs, 'a server that was off must be believed');
  assert(limits.deletionRecordsMax >= 2, 'summing up must make room for a line');
  assert(limits.decompressedBytesMax <= limits.batchDecodedBytesMax, 'a message must fit its decoded form');
  assert(limits.rootRowsMax <= limits.batchRowsMax, 'the root table must fit the rows of its batch');
  assert(limits.batchRowsMax <= limits.tableRowsMax, 'the rows of all tables bound those of one');
  assert(limits.streamDictionaryBytesMax <= limits.decoderStatesBytesMax, 'one stream must fit the decoders of all');
  assert(
    limits.pushStopMaxMs < limits.pushWorkerStopMaxMs,
    'an exporter that waits for answers must not cost all of them',
  );
  assert(limits.pushWorkerStopMaxMs < limits.shutdownMaxMs, 'exporters must stop before the process is forced to');
  assert(
    limits.pushStreamStateBytesMax < limits.streamStateBytesMax,
    'our streams must end before our receiver ends them',
  );
  assert(limits.pushMessageBytesMax <= limits.messageBytesMax, 'what we send must fit what we take');
  assert(limits.engineStopMaxMs < limits.shutdownMaxMs, 'the engine must stop before the process is forced to');
  assert(limits.threadHearMaxMs < limits.engineBreakOffMaxMs, 'a thread that does not hear must be ended in time');
  assert(
    limits.engineStopMinMs + limits.engineBreakOffMaxMs < limits.shutdownMaxMs,
    'the engine must be broken off before the process is forced to stop',
  );
  assert(limits.sqlConcurrencyMax + 2 <= LIBUV_THREADS, 'queries and the materializer must leave a thread for fsync');
  assert(limits.prometheusAsksMax < limits.sqlQueueMax, 'PromQL must leave room for SQL of others');
  assert(limits.otlpHttpHeadMaxMs <= limits.otlpHttpRequestMaxMs, 'a head must fit the time of its request');
  assert(limits.otlpHttpStallMaxMs < limits.otlpHttpRequestMaxMs, 'a body that stalls must end before a slow one');
  assert(limits.otlpJsonBytesMax <= limits.decompressedBytesMax, 'JSON must not be worth more than protobuf');
  assert(limits.messageBytesMax < limits.otlpHttpArrivingBytesMax, 'one body must fit those that arrive');
  assert(limits.pullWriteBytes <= limits.pullChunkBytes, 'a part of a pull must be worth a write');
  assert(limits.pullChunkBytes < limits.pullBufferedBytesMax, 'reading for a pull must overlap with sending');
  assert(limits.pullRangeTargetBytes < limits.pullRangeBytesMax, 'a range of a view must fit what it may take');
  assert(limits.pullRangeBytesMax <= limits.pullBatchBytesMax, 'an entry of a view must be given the bytes of a range');
  assert(limits.otlpHttpLingerMaxMs < limits.httpDrainMaxMs, 'a refused request must end before the server stops');
  assert(limits.otlpRetryAfterMs % 1_000 === 0, 'Retry-After knows whole seconds only');
  assert(limits.cursorsMax * limits.cursorFileBytesMax < limits.diskReserveBytes, 'cursors must fit the disk reserve');
  assert(limits.userRangeMaxMs < limits.userEntryMaxMs, 'an entry must be given the time of a range at least');
  assert(limits.userRangeRowsMax <= limits.userEntryRowsMax, 'an entry must be given the rows of a range at least');
  assert(limits.appendWaitMaxMs < 5_000, "a batch must be answered before the exporter's 5 s time-out");
}

/**
 * Node's default. It cannot be raised from inside: the loader of ES modules has started the threads before the first line of ours.
 * DuckDB's calls and file access share them.
 */
const LIBUV_THREADS = 4;
