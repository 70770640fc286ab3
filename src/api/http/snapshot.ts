/** One look at all parts of the server: what status, health and metrics are made of. */
import { errorMessage, LIMITS } from '../../base/index.ts';
import type { LogStatus } from '../../log/index.ts';
import type { EngineHealth, EngineStatus } from '../../materialize/index.ts';
import type { GrpcReceiverStatus } from '../grpc/server.ts';
import type { OtlpReceiverStatus } from '../otlp/otlp-intake.ts';
import type { ExportersStatus } from '../push/manager.ts';
import type { HttpServices } from './services.ts';

export interface Snapshot {
  readonly log: LogStatus;
  readonly receiver: GrpcReceiverStatus;
  readonly otlp: OtlpReceiverStatus;
  readonly exporters: ExportersStatus;
  readonly engineHealth: EngineHealth;
  /** Null when the engine did not answer; `engineReason` says why. */
  readonly engine: EngineStatus | null;
  readonly engineReason: string | null;
}

/** Reads the state of all parts. Never rejects: an engine that does not answer in time is part of the state. */
export async function takeSnapshot(services: HttpServices): Promise<Snapshot> {
  const answer = await engineStatus(services);
  return {
    log: services.log.status(),
    receiver: services.receiverStatus(),
    otlp: services.otlpStatus(),
    exporters: services.exporters.status(),
    engineHealth: services.engineHealth(),
    engine: answer.status,
    engineReason: answer.reason,
  };
}

async function engineStatus(services: HttpServices): Promise<{ status: EngineStatus | null; reason: string | null }> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const message = `The engine has not answered for ${LIMITS.engineAnswerMaxMs} ms`;
    timer = setTimeout(() => reject(new Error(message)), LIMITS.engineAnswerMaxMs);
  });
  try {
    return { status: await Promise.race([services.engine.status(), late]), reason: null };
  } catch (error) {
    return { status: null, reason: errorMessage(error) };
  } finally {
    clearTimeout(timer);
  }
}
