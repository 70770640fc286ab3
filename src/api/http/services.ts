/** What the HTTP API needs of the server. */
import type { Logger } from '../../base/index.ts';
import type { Log } from '../../log/index.ts';
import type { Engine, EngineHealth } from '../../materialize/index.ts';
import type { ArrowReceiverStatus } from '../grpc/arrow-receiver.ts';

export interface HttpServices {
  readonly version: string;
  readonly startedAtUnixMs: number;
  readonly log: Pick<Log, 'status'>;
  readonly engine: Pick<Engine, 'sql' | 'status'>;
  readonly engineHealth: () => EngineHealth;
  readonly receiverStatus: () => ArrowReceiverStatus;
  /** Whether the server has begun to stop. */
  readonly isStopping: () => boolean;
  readonly sqlLimits: { readonly rowsMax: number; readonly timeoutMs: number };
  readonly logger: Logger;
}
