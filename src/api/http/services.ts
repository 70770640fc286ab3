/** What the HTTP API needs of the server. */
import type { Logger } from '../../base/index.ts';
import type { Cursors, Log } from '../../log/index.ts';
import type { Engine, EngineHealth } from '../../materialize/index.ts';
import type { GrpcReceiverStatus } from '../grpc/server.ts';
import type { OtlpReceiverStatus } from '../otlp/otlp-intake.ts';
import type { PrometheusQueries } from '../prometheus/queries.ts';
import type { Pulls } from '../pull/pulls.ts';
import type { OffsetAtTime } from '../push/log-place.ts';
import type { ExporterManager } from '../push/manager.ts';

export interface HttpServices {
  readonly version: string;
  readonly startedAtUnixMs: number;
  /** The same by `performance.now()`, which never goes back. */
  readonly startedMs: number;
  readonly log: Pick<Log, 'status'>;
  readonly engine: Pick<Engine, 'sql' | 'status'>;
  readonly rebuilds: Pick<Engine, 'status' | 'rebuildProjection' | 'cancelRebuild'>;
  readonly projectionFiles: Pick<Engine, 'scanProjections'>;
  readonly engineHealth: () => EngineHealth;
  readonly receiverStatus: () => GrpcReceiverStatus;
  /** OTLP over all transports. */
  readonly otlpStatus: () => OtlpReceiverStatus;
  readonly pulls: Pulls;
  readonly prometheus: PrometheusQueries;
  readonly cursors: Cursors;
  readonly exporters: ExporterManager;
  readonly offsetAtTime: OffsetAtTime;
  /** Whether the server has begun to stop. */
  readonly isStopping: () => boolean;
  readonly sqlLimits: { readonly rowsMax: number; readonly timeoutMs: number };
  readonly logger: Logger;
}
