/** `GET /treasury/v1/status`. Offsets are JSON numbers: they stay far below 2^53. */
import { DELETION_REASONS, type RetentionStatus } from '../../log/index.ts';
import { projectionFigures } from './projections-route.ts';
import { exportersBody } from './exporters-route.ts';
import type { HttpServices } from './services.ts';
import type { Snapshot } from './snapshot.ts';
import { userProjectionEntry } from './user-projections.ts';

/** The body: versions, offsets, counts, lag, bytes and quarantine. */
export function statusBody(snapshot: Snapshot, services: HttpServices): Readonly<Record<string, unknown>> {
  const { log, engine, engineHealth, engineReason, receiver, otlp } = snapshot;
  const { durableOffset, firstOffset, nextOffset, segment, gaps, retention, ...logFigures } = log;
  return {
    version: services.version,
    duckdbVersion: engine?.duckdbVersion ?? null,
    nodeVersion: process.versions.node,
    pid: process.pid,
    startedAt: new Date(services.startedAtUnixMs).toISOString(),
    uptimeSeconds: Math.round((performance.now() - services.startedMs) / 1000),
    firstOffset: Number(firstOffset),
    durableOffset: Number(durableOffset),
    nextOffset: Number(nextOffset),
    materializedOffset: engine === null ? null : Number(engine.materializedOffset),
    lag: engine === null ? null : Number(durableOffset - engine.materializedOffset),
    complete: engine?.complete ?? null,
    projections: [
      ...(engine?.projections ?? []).map((projection) => ({
        ...projectionFigures(projection),
        kind: 'built-in',
        lag: Number(durableOffset - projection.materializedOffset),
      })),
      ...(engine?.userProjections ?? []).map((each) => userProjectionEntry(each, durableOffset)),
    ],
    log: {
      ...logFigures,
      activeSegment: Number(segment),
      gaps: gaps.map(({ from, to }) => ({ from: Number(from), to: Number(to) })),
      retention: retentionFigures(retention),
    },
    engine: { ...engineHealth, reason: engineHealth.reason ?? engineReason, ...engineFigures(snapshot) },
    lost: {
      total: engine === null ? null : Number(engine.lost.total),
      newest: (engine?.lost.newest ?? []).map(({ from, to }) => ({ from: Number(from), to: Number(to) })),
    },
    quarantine: {
      total: engine?.quarantinedTotal ?? null,
      newest: (engine?.quarantined ?? []).map((entry) => ({ ...entry, offset: Number(entry.offset) })),
    },
    exporters: exportersBody(snapshot.exporters),
    cursors: {
      total: services.cursors.list().length,
      failing: services.cursors.list().filter(({ failing }) => failing !== null).length,
      damaged: services.cursors.damaged,
    },
    receiver,
    otlp,
    memory: { rssBytes: process.memoryUsage.rss() },
  };
}

function retentionFigures({
  deleted,
  deletedTo,
  holds,
  ...figures
}: RetentionStatus): Readonly<Record<string, unknown>> {
  const counts = DELETION_REASONS.map((reason) => {
    const { entries, ...others } = deleted[reason];
    return [reason, { ...others, entries: Number(entries) }];
  });
  return {
    ...figures,
    deleted: Object.fromEntries(counts) as unknown,
    deletedTo: deletedTo === null ? null : Number(deletedTo),
    holds: holds.map(({ offset, passedEntries, ...hold }) => ({
      ...hold,
      offset: Number(offset),
      passedEntries: Number(passedEntries),
    })),
  };
}

function engineFigures({ engine }: Snapshot): Readonly<Record<string, unknown>> {
  if (engine === null) return {};
  const { commits, rowsWritten, entriesDecoded, repairedStrings, tableBytes, writer } = engine;
  const { lastCommitMs, queriesRunning, queriesQueued, materializing, stuck, retention } = engine;
  return {
    commits,
    rowsWritten,
    entriesDecoded,
    repairedStrings,
    tableBytes,
    writer,
    lastCommitMs,
    queriesRunning,
    queriesQueued,
    materializing,
    stuck,
    retention,
  };
}
