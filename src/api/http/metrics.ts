/** `GET /metrics`: this server's own metrics in the Prometheus text format 0.0.4. */
import { SIGNALS } from '../../base/index.ts';
import { type DeletionCounts, DELETION_REASONS, type HoldStatus } from '../../log/index.ts';
import type { BuildStatus, ProjectionStatus, UserProjectionStatus } from '../../materialize/index.ts';
import { type OtlpCounts, OTLP_TRANSPORTS } from '../otlp/otlp-intake.ts';
import { PULL_KINDS, type PullCounts } from '../pull/pulls.ts';
import { exporterFamilies } from './exporter-metrics.ts';
import { healthReport } from './health.ts';
import { prometheusFamilies } from './prometheus-metrics.ts';
import type { HttpServices } from './services.ts';
import type { Snapshot } from './snapshot.ts';

export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** The exposition. Figures of an engine that does not answer are left out. */
export function metricsText(snapshot: Snapshot, services: HttpServices): string {
  const families = [
    ...processFamilies(services),
    ...healthFamilies(snapshot),
    ...logFamilies(snapshot),
    ...retentionFamilies(snapshot),
    ...receiverFamilies(snapshot),
    ...otlpFamilies(snapshot),
    ...pullFamilies(services),
    ...exporterFamilies(snapshot.exporters),
    ...prometheusFamilies(services.prometheus),
    ...engineFamilies(snapshot),
    ...tablesRetentionFamilies(snapshot),
  ];
  return families.map(familyText).join('');
}

/** One metric with its samples. */
export interface Family {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly samples: readonly { readonly labels?: Readonly<Record<string, string>>; readonly value: number | bigint }[];
}

function processFamilies({ version, startedAtUnixMs }: HttpServices): Family[] {
  const usage = process.cpuUsage();
  return [
    gauge('treasury_build_info', 'Always 1; labels name the versions.', 1, { version, node: process.versions.node }),
    gauge('treasury_start_time_seconds', 'Unix time of the start.', startedAtUnixMs / 1000),
    ...residentMemoryFamilies(),
    counter('treasury_cpu_seconds_total', 'CPU time of the process, all threads.', (usage.user + usage.system) / 1e6),
  ];
}

/** Left out while no descriptor is free: the figure is read from a file. */
function residentMemoryFamilies(): Family[] {
  try {
    return [gauge('treasury_resident_memory_bytes', 'Resident memory of the process.', process.memoryUsage.rss())];
  } catch {
    return [];
  }
}

function healthFamilies(snapshot: Snapshot): Family[] {
  const { parts } = healthReport(snapshot);
  const samples = Object.entries(parts).map(([part, { ok }]) => ({ labels: { part }, value: ok ? 1 : 0 }));
  return [
    { name: 'treasury_healthy', type: 'gauge', help: '1 when the part works.', samples },
    counter('treasury_engine_restarts_total', 'Starts of the engine after a death.', snapshot.engineHealth.restarts),
  ];
}

function logFamilies({ log }: Snapshot): Family[] {
  return [
    gauge('treasury_log_first_offset', 'Oldest offset kept.', log.firstOffset),
    gauge('treasury_log_durable_offset', 'All entries below are fsynced.', log.durableOffset),
    gauge('treasury_log_next_offset', 'Offset of the next entry.', log.nextOffset),
    gauge('treasury_log_segments', 'Segment files.', log.segments),
    gauge('treasury_log_bytes', 'Bytes of all segments.', log.bytes),
    gauge('treasury_log_streams', 'Streams whose state the log carries.', log.streams),
    gauge('treasury_log_stream_state_bytes', 'State carried for live streams.', log.streamStateBytes),
    gauge('treasury_log_in_flight_bytes', 'Bytes appended and not yet durable.', log.inFlightBytes),
    gauge('treasury_log_refusing', '1 while appends are refused.', log.refusing === null ? 0 : 1),
    gauge('treasury_log_faulty', '1 while no segment could be begun.', log.fault === null ? 0 : 1),
    gauge('treasury_log_slow', '1 while the disk is slow.', log.slow === null ? 0 : 1),
    counter('treasury_log_entries_total', 'Entries appended.', log.entriesAppended),
    counter('treasury_log_appended_bytes_total', 'Bytes appended.', log.bytesAppended),
    counter('treasury_log_frames_total', 'Group commits.', log.frames),
    counter('treasury_log_fsync_seconds_total', 'Time spent in writes and syncs of frames.', log.fsyncSecondsTotal),
    counter('treasury_log_append_failures_total', 'Appends refused or failed.', log.appendFailures),
    gauge('treasury_log_quarantined_ranges', 'Damaged byte ranges set aside.', log.quarantinedRanges),
  ];
}

function retentionFamilies({ log }: Snapshot): Family[] {
  const { ageMaxMs, bytesMax, freeBytes, reserveBytes, deleted, deletedTo, failing, holds } = log.retention;
  const perReason = (value: (counts: DeletionCounts) => number | bigint) =>
    DELETION_REASONS.map((reason) => ({ labels: { reason }, value: value(deleted[reason]) }));
  const perHold = (value: (hold: HoldStatus) => number | bigint) =>
    holds.map((hold) => ({ labels: { consumer: hold.name, policy: hold.policy }, value: value(hold) }));
  const optional = (name: string, help: string, value: number | bigint | null) =>
    value === null ? [] : [gauge(name, help, value)];
  return [
    {
      name: 'treasury_log_deleted_segments_total',
      type: 'counter',
      help: 'Segments deleted by retention.',
      samples: perReason(({ segments }) => segments),
    },
    {
      name: 'treasury_log_deleted_bytes_total',
      type: 'counter',
      help: 'Bytes of them.',
      samples: perReason(({ bytes }) => bytes),
    },
    {
      name: 'treasury_log_deleted_entries_total',
      type: 'counter',
      help: 'Entries in them.',
      samples: perReason(({ entries }) => entries),
    },
    ...optional('treasury_log_deleted_offset', 'All entries below were deleted, in this run or before.', deletedTo),
    ...optional('treasury_log_retention_bytes', 'What the log may take.', bytesMax),
    ...optional('treasury_log_retention_age_seconds', 'Age at which entries go.', ageMaxMs && ageMaxMs / 1000),
    gauge('treasury_log_retention_failing', '1 while segments cannot be deleted.', failing === null ? 0 : 1),
    ...optional('treasury_log_disk_free_bytes', "Free space of the log's disk.", freeBytes),
    gauge('treasury_log_disk_reserve_bytes', 'Free space below which appends are refused.', reserveBytes),
    {
      name: 'treasury_log_hold_offset',
      type: 'gauge',
      help: 'Entries from here on are claimed by the consumer.',
      samples: perHold(({ offset }) => offset),
    },
    {
      name: 'treasury_log_hold_passed_entries_total',
      type: 'counter',
      help: 'Entries deleted before the consumer had read them.',
      samples: perHold(({ passedEntries }) => passedEntries),
    },
  ];
}

function receiverFamilies({ receiver }: Snapshot): Family[] {
  const outcomes = ['accepted', 'unavailable', 'malformed'] as const;
  const batches = SIGNALS.flatMap((signal) =>
    outcomes.map((outcome) => ({ labels: { signal, outcome }, value: receiver.batches[signal][outcome] })),
  );
  const messageBytes = SIGNALS.map((signal) => ({ labels: { signal }, value: receiver.batches[signal].messageBytes }));
  const ends = Object.entries(receiver.streamsEnded).map(([reason, value]) => ({ labels: { reason }, value }));
  return [
    { name: 'treasury_received_batches_total', type: 'counter', help: 'OTAP batches by answer.', samples: batches },
    {
      name: 'treasury_received_bytes_total',
      type: 'counter',
      help: 'OTAP messages after decompression.',
      samples: messageBytes,
    },
    gauge('treasury_streams_open', 'OTAP streams open.', receiver.streamsOpen),
    gauge('treasury_streams_held', 'Open streams not read from until bytes are durable.', receiver.streamsHeld),
    gauge(
      'treasury_streams_stalled',
      'Open streams not read from until their client takes its statuses.',
      receiver.streamsStalled,
    ),
    counter('treasury_streams_opened_total', 'OTAP streams opened.', receiver.streamsOpened),
    { name: 'treasury_streams_ended_total', type: 'counter', help: 'OTAP streams ended by reason.', samples: ends },
  ];
}

function otlpFamilies({ otlp, receiver }: Snapshot): Family[] {
  const perSignal = (value: (counts: Readonly<OtlpCounts>) => number) =>
    OTLP_TRANSPORTS.flatMap((transport) =>
      SIGNALS.map((signal) => ({ labels: { transport, signal }, value: value(otlp.requests[transport][signal]) })),
    );
  // Disjoint, so that they add up: accepted ones with rejected rows are partial.
  const outcomes = {
    accepted: ({ accepted, partial }) => accepted - partial,
    partial: ({ partial }) => partial,
    unavailable: ({ unavailable }) => unavailable,
    malformed: ({ malformed }) => malformed,
  } as const satisfies Record<string, (counts: Readonly<OtlpCounts>) => number>;
  const requests = Object.entries(outcomes).flatMap(([outcome, value]) =>
    perSignal(value).map((sample) => ({ ...sample, labels: { ...sample.labels, outcome } })),
  );
  return [
    { name: 'treasury_otlp_requests_total', type: 'counter', help: 'OTLP requests by answer.', samples: requests },
    {
      name: 'treasury_otlp_rows_total',
      type: 'counter',
      help: 'Log records, spans and data points of accepted OTLP requests.',
      samples: perSignal(({ rows }) => rows),
    },
    {
      name: 'treasury_otlp_rejected_rows_total',
      type: 'counter',
      help: 'Those left out for a fault of their own.',
      samples: perSignal(({ rejectedRows }) => rejectedRows),
    },
    {
      name: 'treasury_otlp_bytes_total',
      type: 'counter',
      help: 'Accepted OTLP requests after decompression.',
      samples: perSignal(({ bodyBytes }) => bodyBytes),
    },
    gauge('treasury_otlp_in_flight', 'OTLP requests taken and not answered.', otlp.inFlight),
    gauge(
      'treasury_otlp_waiting_bytes',
      'OTLP requests over gRPC that arrive or wait for their turn.',
      receiver.otlpWaitingBytes,
    ),
    gauge(
      'treasury_received_in_flight_bytes',
      'Bytes received and not yet durable, OTAP and OTLP together.',
      receiver.inFlightBytes,
    ),
  ];
}

function pullFamilies({ pulls }: HttpServices): Family[] {
  const status = pulls.status();
  const perKind = (value: (counts: PullCounts) => number) =>
    PULL_KINDS.map((kind) => ({ labels: { kind }, value: value(status[kind]) }));
  return [
    {
      name: 'treasury_pulls',
      type: 'gauge',
      help: 'Pulls of the log and of tables under way.',
      samples: perKind(({ running }) => running),
    },
    {
      name: 'treasury_pulls_started_total',
      type: 'counter',
      help: 'Pulls begun.',
      samples: perKind(({ started }) => started),
    },
    {
      name: 'treasury_pulled_bytes_total',
      type: 'counter',
      help: 'Bytes that clients of pulls took.',
      samples: perKind(({ bytes }) => bytes),
    },
    counter('treasury_pulled_entries_total', 'Entries read for pulls of the log.', status.log.entries),
    {
      name: 'treasury_pull_stalls_total',
      type: 'counter',
      help: 'Pulls cut because their client did not read.',
      samples: perKind(({ stalls }) => stalls),
    },
  ];
}

function engineFamilies({ engine, log }: Snapshot): Family[] {
  if (engine === null) return [];
  const perProjection = (value: (projection: ProjectionStatus | UserProjectionStatus) => number | bigint) =>
    [...engine.projections, ...engine.userProjections].map((projection) => ({
      labels: { projection: projection.name, version: String(projection.version) },
      value: value(projection),
    }));
  return [
    {
      name: 'treasury_materialized_offset',
      type: 'gauge',
      help: 'All entries below are in the tables.',
      samples: perProjection(({ materializedOffset }) => materializedOffset),
    },
    {
      name: 'treasury_materialized_lag_entries',
      type: 'gauge',
      help: 'Durable entries not yet in the tables.',
      samples: perProjection(({ materializedOffset }) => log.durableOffset - materializedOffset),
    },
    {
      name: 'treasury_projection_rows_total',
      type: 'counter',
      help: 'Rows written.',
      samples: perProjection(({ rowsWritten }) => rowsWritten),
    },
    {
      name: 'treasury_user_projection_failing',
      type: 'gauge',
      help: '1 when the file of a projection of a user is wrong, or its statement fails.',
      samples: engine.userProjections.map(({ name, version, error }) => ({
        labels: { projection: name, version: String(version) },
        value: error === null ? 0 : 1,
      })),
    },
    {
      name: 'treasury_projection_complete',
      type: 'gauge',
      help: '0 while tables lack rows because they are being built from the log.',
      samples: perProjection(({ complete }) => (complete ? 1 : 0)),
    },
    ...buildFamilies(engine.projections),
    gauge('treasury_materializing', '0 when materialization is off by choice.', engine.materializing ? 1 : 0),
    counter('treasury_commits_total', 'DuckDB transactions committed.', engine.commits),
    counter('treasury_entries_decoded_total', 'Log entries decoded.', engine.entriesDecoded),
    counter(
      'treasury_quarantined_entries_total',
      'Entries that could not be decoded or projected.',
      engine.quarantinedTotal,
    ),
    counter(
      'treasury_lost_offsets_total',
      'Offsets that retention deleted from the log before they were in the tables.',
      engine.lost.total,
    ),
    counter('treasury_repaired_strings_total', 'Strings of invalid UTF-8 repaired.', engine.repairedStrings),
    gauge('treasury_table_bytes', 'Bytes of the DuckDB file.', engine.tableBytes),
    gauge('treasury_last_commit_seconds', 'Duration of the last commit.', engine.lastCommitMs / 1000),
    gauge('treasury_sql_running', 'SQL queries running.', engine.queriesRunning),
    gauge('treasury_sql_queued', 'SQL queries waiting.', engine.queriesQueued),
  ];
}

/** Versions on their way. A rate that is not known yet has no sample. */
function buildFamilies(projections: readonly ProjectionStatus[]): Family[] {
  const perBuild = (value: (build: BuildStatus) => number | bigint | null) =>
    projections.flatMap(({ name, building }) => {
      const figure = building === null ? null : value(building);
      if (building === null || figure === null) return [];
      return [{ labels: { projection: name, version: String(building.version) }, value: figure }];
    });
  const families: Family[] = [
    {
      name: 'treasury_projection_build_offset',
      type: 'gauge',
      help: 'All entries below are in the tables of the version being built.',
      samples: perBuild(({ offset }) => offset),
    },
    {
      name: 'treasury_projection_build_target_offset',
      type: 'gauge',
      help: 'Where it serves.',
      samples: perBuild(({ targetOffset }) => targetOffset),
    },
    {
      name: 'treasury_projection_build_entries_per_second',
      type: 'gauge',
      help: 'Log entries per second that it takes.',
      samples: perBuild(({ entriesPerSecond }) => entriesPerSecond),
    },
    {
      name: 'treasury_projection_build_left_seconds',
      type: 'gauge',
      help: 'Time until it has caught up at this rate.',
      samples: perBuild(({ estimatedEndMs }) => (estimatedEndMs === null ? null : estimatedEndMs / 1000)),
    },
    {
      name: 'treasury_projection_build_waiting',
      type: 'gauge',
      help: '1 while it waits for free disk, or for another try after a failure.',
      samples: projections.flatMap(({ name, building }) =>
        building === null
          ? []
          : (['disk', 'retry'] as const).map((what) => ({
              labels: { projection: name, version: String(building.version), for: what },
              value: building.waiting === what ? 1 : 0,
            })),
      ),
    },
    {
      name: 'treasury_projection_build_rows_total',
      type: 'counter',
      help: 'Rows written to its tables since the start.',
      samples: perBuild(({ rowsWritten }) => rowsWritten),
    },
  ];
  return families.filter(({ samples }) => samples.length > 0);
}

function tablesRetentionFamilies({ engine }: Snapshot): Family[] {
  if (engine === null) return [];
  const { ageMs, intervalMs, runs, lastRunAtUnixMs, rowsDeleted, oldestUnixMs, failing, freeBytes, rewrites } =
    engine.retention;
  if (ageMs === null) return [];
  const deleted = Object.entries(rowsDeleted).map(([table, value]) => ({ labels: { table }, value }));
  const oldest = Object.entries(oldestUnixMs).flatMap(([table, value]) =>
    value === null ? [] : [{ labels: { table }, value: value / 1000 }],
  );
  return [
    gauge('treasury_tables_retention_age_seconds', 'Age at which rows go from the tables.', ageMs / 1000),
    gauge('treasury_tables_retention_interval_seconds', 'Time between two runs.', intervalMs / 1000),
    counter('treasury_tables_retention_runs_total', 'Runs of retention that ended.', runs),
    ...(lastRunAtUnixMs === null
      ? []
      : [gauge('treasury_tables_retention_last_run_time_seconds', 'Unix time of the last.', lastRunAtUnixMs / 1000)]),
    gauge('treasury_tables_retention_failing', '1 while runs fail.', failing === null ? 0 : 1),
    {
      name: 'treasury_tables_deleted_rows_total',
      type: 'counter',
      help: 'Rows that retention deleted.',
      samples: deleted,
    },
    { name: 'treasury_tables_oldest_time_seconds', type: 'gauge', help: 'Oldest time of a row.', samples: oldest },
    gauge('treasury_tables_free_bytes', 'Bytes of the DuckDB file that rows to come fill first.', freeBytes),
    counter('treasury_tables_rewrites_total', 'How often tables were written again to give disk back.', rewrites),
  ];
}

function gauge(
  name: string,
  help: string,
  value: number | bigint,
  labels: Readonly<Record<string, string>> = {},
): Family {
  return { name, type: 'gauge', help, samples: [{ labels, value }] };
}

function counter(name: string, help: string, value: number | bigint): Family {
  return { name, type: 'counter', help, samples: [{ value }] };
}

function familyText({ name, type, help, samples }: Family): string {
  const lines = samples.map(({ labels = {}, value }) => `${name}${labelText(labels)} ${value}\n`);
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
