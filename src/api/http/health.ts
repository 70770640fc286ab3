/** `/healthz` and `/readyz`. */
import type { Snapshot } from './snapshot.ts';

export interface HealthReport {
  readonly status: 'ok' | 'unhealthy';
  /** Each part: `ok`, or why it is not. */
  readonly parts: Readonly<Record<string, { readonly ok: boolean; readonly reason?: string }>>;
}

/** Whether the parts work: the log takes entries, the engine's worker lives, materialization goes on. */
export function healthReport(snapshot: Snapshot): HealthReport {
  const { log, engineHealth, engine, engineReason } = snapshot;
  return report({
    log: log.refusing,
    engine: engineHealth.running ? engineReason : (engineHealth.reason ?? 'It is not running'),
    materialization: engine === null ? 'The engine does not say' : engine.stuck,
  });
}

/** Whether requests should be sent here: healthy, and not about to stop. */
export function readinessReport(snapshot: Snapshot, isStopping: boolean): HealthReport {
  const { parts } = healthReport(snapshot);
  const reasons = Object.fromEntries(Object.entries(parts).map(([name, { reason }]) => [name, reason ?? null]));
  return report({ ...reasons, server: isStopping ? 'It is stopping' : null });
}

function report(reasons: Readonly<Record<string, string | null>>): HealthReport {
  const parts = Object.fromEntries(
    Object.entries(reasons).map(([name, reason]) => [name, reason === null ? { ok: true } : { ok: false, reason }]),
  );
  const healthy = Object.values(reasons).every((reason) => reason === null);
  return { status: healthy ? 'ok' : 'unhealthy', parts };
}
