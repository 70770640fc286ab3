import { createOtapSender } from './otap-sender.ts';
import { createOtlpGrpcSender } from './otlp-grpc-sender.ts';
import { createOtlpHttpSender } from './otlp-http-sender.ts';
import type { Sender } from './sender.ts';
import type { ExporterConfig, ExporterProtocol } from './types.ts';

/** An exporter to another receiver: all but those to folders. */
export interface SenderConfig extends ExporterConfig {
  readonly protocol: Exclude<ExporterProtocol, 'parquet'>;
}

export type OpenSender = (config: SenderConfig) => Sender;

/** The sender of a protocol. Connects with the first batch. */
export function openSender(config: SenderConfig): Sender {
  switch (config.protocol) {
    case 'otap':
      return createOtapSender(config);
    case 'otlp-grpc':
      return createOtlpGrpcSender(config);
    case 'otlp-http':
      return createOtlpHttpSender(config);
  }
}
