/**
 * grpc-js, loaded by `require`: an `import` of CommonJS has Node read every file of it once more to find its export names, which costs
 * memory that is never given back.
 */
import { createRequire } from 'node:module';
import type * as GrpcJs from '@grpc/grpc-js';
import type * as ServerInterceptors from '@grpc/grpc-js/build/src/server-interceptors.js';

const require = createRequire(import.meta.url);

export const { logVerbosity, Metadata, Server, ServerCredentials, ServerInterceptingCall, setLogVerbosity, status } =
  require('@grpc/grpc-js') as typeof GrpcJs;

export type Metadata = GrpcJs.Metadata;
export type Server = GrpcJs.Server;
export type ServerInterceptingCall = GrpcJs.ServerInterceptingCall;

/** Not public: see `hooks.ts`. */
export const { BaseServerInterceptingCall } =
  require('@grpc/grpc-js/build/src/server-interceptors.js') as typeof ServerInterceptors;
