export { type ArrowReceiverStatus } from './grpc/arrow-receiver.ts';
export { checkGrpcHooks } from './grpc/hooks.ts';
export { type BatchCounts, type GrpcLimits, type StreamEnd } from './grpc/receiver-context.ts';
export { type GrpcServer, type GrpcServerOptions, startGrpcServer } from './grpc/server.ts';
export type { HttpListener } from './http/listener.ts';
export { startOtlpHttpServer } from './http/otlp-listener.ts';
export { type HttpServerOptions, startHttpServer } from './http/server.ts';
export type { HttpServices } from './http/services.ts';
