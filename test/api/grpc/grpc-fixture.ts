/** A gRPC server on a free port with a log of its own, for one test. */
import type { TestContext } from 'node:test';
import {
  createAdmission,
  createOtlpIntake,
  type GrpcLimits,
  type GrpcServer,
  type OtlpIntake,
  startGrpcServer,
} from '../../../src/api/index.ts';
import { LIMITS, type Logger, type Signal, silentLogger } from '../../../src/base/index.ts';
import type { Log } from '../../../src/log/index.ts';
import { connectOtap, type OtapClient, type OtapClientOptions } from '../../helpers/otap-client.ts';
import { readArrowStreams } from '../../helpers/captures.ts';
import { type FileLog, openFileLog } from './file-log.ts';

export interface GrpcFixture {
  readonly server: GrpcServer;
  readonly intake: OtlpIntake;
  readonly log: FileLog;
  readonly connect: (options?: OtapClientOptions) => Promise<OtapClient>;
}

/** Limits of the server and of the admission that it shares. */
export type FixtureLimits = Partial<GrpcLimits & AdmissionLimits>;

interface AdmissionLimits {
  readonly inFlightReadBytesMax: number;
  readonly inFlightBytesMax: number;
}

/** The intake of a server over `log`, as the composition root makes it. */
export function intakeOver(log: Log, limits: Partial<AdmissionLimits> = {}, logger: Logger = silentLogger): OtlpIntake {
  const { inFlightReadBytesMax, inFlightBytesMax } = { ...LIMITS, ...limits };
  return createOtlpIntake({ log, logger, admission: createAdmission(inFlightReadBytesMax, inFlightBytesMax) });
}

/** Starts one; all of it is gone when the test ends. */
export async function startFixture(
  test: TestContext,
  limits: FixtureLimits = {},
  logger: Logger = silentLogger,
): Promise<GrpcFixture> {
  const log = openFileLog();
  const intake = intakeOver(log, limits, logger);
  const server = await startGrpcServer({ host: '127.0.0.1', port: 0, log, intake, logger, limits });
  const clients: OtapClient[] = [];
  test.after(async () => {
    log.release();
    for (const client of clients) client.destroy();
    await server.stop();
    await log.close();
  });
  return {
    server,
    intake,
    log,
    async connect(options) {
      const client = await connectOtap(server.address, options);
      clients.push(client);
      return client;
    },
  };
}

/** The messages of the first stream of a signal in a capture that has at least one. */
export function messagesOf(capture: string, signal: Signal): readonly Buffer[] {
  const stream = readArrowStreams(capture).find(
    ({ arrowSignal, messages }) => arrowSignal === signal && messages.length > 0,
  );
  if (stream === undefined) throw new Error(`Cannot find ${signal} in ${capture}`);
  return stream.messages;
}

/** Settles when `isTrue` holds; looks again with every turn of the event loop. Fails by the test's own time-out. */
export async function eventually(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 1));
}
