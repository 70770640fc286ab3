export { createAdmission } from './admission.ts';
export { checkGrpcHooks } from './grpc/hooks.ts';
export { type BatchCounts, type GrpcLimits, type StreamEnd } from './grpc/receiver-context.ts';
export { type GrpcReceiverStatus, type GrpcServer, type GrpcServerOptions, startGrpcServer } from './grpc/server.ts';
export type { HttpListener } from './http/listener.ts';
export { startOtlpHttpServer } from './http/otlp-listener.ts';
export { type HttpServerOptions, startHttpServer } from './http/server.ts';
export type { HttpServices } from './http/services.ts';
export { createOtlpIntake, type OtlpIntake, type OtlpReceiverStatus } from './otlp/otlp-intake.ts';
