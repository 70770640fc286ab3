/** `/healthz` and `/readyz`. */
import type { Snapshot } from './snapshot.ts';

export interface HealthReport {
  readonly status: 'ok' | 'unhealthy';
  /** Each part: `ok`, or why it is not. A part that is off by choice, or slow, is well and says so. */
  readonly parts: Readonly<Record<string, Part>>;
}

interface Part {
  readonly ok: boolean;
  readonly reason?: string;
}

/** Whether the parts work: the log takes entries, the engine's worker lives, materialization goes on. */
export function healthReport(snapshot: Snapshot): HealthReport {
  return report(partsOf(snapshot));
}

/** Whether requests should be sent here: healthy, and not about to stop. */
export function readinessReport(snapshot: Snapshot, isStopping: boolean): HealthReport {
  return report({ ...partsOf(snapshot), server: part(isStopping ? 'It is stopping' : null) });
}

function partsOf({ log, engineHealth, engine, engineReason, exporters }: Snapshot): Record<string, Part> {
  return {
    log: logPart(log),
    engine: part(engineHealth.running ? engineReason : (engineHealth.reason ?? 'It is not running')),
    materialization: materializationPart(engine),
    exporters: exportersPart(exporters),
  };
}

/** A slow disk is well, and told, as long as entries do not wait too long for it. */
function logPart({ refusing, fault, slow }: Snapshot['log']): Part {
  const reason = fault ?? refusing;
  if (reason !== null) return part(reason);
  return slow === null ? { ok: true } : { ok: true, reason: slow };
}

function materializationPart(engine: Snapshot['engine']): Part {
  if (engine === null) return part('The engine does not say');
  if (engine.stuck === null && !engine.materializing) return { ok: true, reason: 'It is off (--materialize off)' };
  if (engine.stuck === null && !engine.complete) {
    return { ok: true, reason: 'Tables are being built from the log: queries find what is there so far' };
  }
  return part(engine.stuck);
}

/** A target that is down costs nothing but its exporter's lag: exporters are ill only when none can send. */
function exportersPart({ exporters, faults, down }: Snapshot['exporters']): Part {
  if (down !== null) return part(down);
  const failed = exporters.filter(({ state }) => state === 'failed').map(({ config }) => config.name);
  const reasons = [
    ...(faults.length === 0 ? [] : [`Files cannot be used: ${faults.map(({ file }) => file).join(', ')}`]),
    ...(failed.length === 0 ? [] : [`Failed: ${failed.join(', ')}`]),
  ];
  return reasons.length === 0 ? { ok: true } : { ok: true, reason: reasons.join('; ') };
}

function part(reason: string | null): Part {
  return reason === null ? { ok: true } : { ok: false, reason };
}

function report(parts: Readonly<Record<string, Part>>): HealthReport {
  const healthy = Object.values(parts).every(({ ok }) => ok);
  return { status: healthy ? 'ok' : 'unhealthy', parts };
}
