/** grpc.health.v1.Health: whether the server, or one of its services (all share one state), takes work. */
import type {
  sendUnaryData,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { type ReceivedMessage, printable, unavailable, unreadable, type UnreadableMessage } from './encodings.ts';
import { status as grpcStatus } from './grpc-js.ts';
import { rawMethod } from './raw-method.ts';

const SERVICE = 'grpc.health.v1.Health';

const SERVING = { YES: 1, NO: 2, UNKNOWN_SERVICE: 3 } as const;

export interface HealthService {
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
  /** Tells all who watch when it changes. */
  setServing(isServing: boolean): void;
  /** Ends all watches with UNAVAILABLE, and refuses new ones. */
  stop(): void;
}

/** `services` are the names that may be asked for besides the empty one; `watchersMax` calls of Watch are held at a time. */
export function createHealthService(services: readonly string[], watchersMax: number): HealthService {
  const names = new Set(['', ...services]);
  const watchers = new Map<WatchCall, string>();
  let isServing = true;
  let isStopped = false;
  const stateOf = (name: string): number =>
    names.has(name) ? (isServing ? SERVING.YES : SERVING.NO) : SERVING.UNKNOWN_SERVICE;

  function check(call: ServerUnaryCall<ReceivedMessage, Buffer>, callback: sendUnaryData<Buffer>): void {
    const name = readService(call.request);
    if (typeof name !== 'string') callback(name);
    else if (names.has(name)) callback(null, encodeState(stateOf(name)));
    else callback({ code: grpcStatus.NOT_FOUND, details: printable(`Cannot check: the service is ${name}`) });
  }

  function watch(call: WatchCall): void {
    const name = readService(call.request);
    if (typeof name !== 'string') return void call.emit('error', name);
    if (isStopped) return void call.emit('error', unavailable('Cannot watch: the server is stopping'));
    if (watchers.size >= watchersMax) return void call.emit('error', unavailable('Cannot watch: too many watch'));
    watchers.set(call, name);
    call.on('cancelled', () => watchers.delete(call));
    call.write(encodeState(stateOf(name)));
  }

  return {
    definition: { Check: rawMethod(SERVICE, 'Check', 'unary'), Watch: rawMethod(SERVICE, 'Watch', 'server_stream') },
    implementation: { Check: check, Watch: watch },
    setServing(next) {
      if (next === isServing) return;
      isServing = next;
      for (const [call, name] of watchers) if (names.has(name)) call.write(encodeState(stateOf(name)));
    },
    stop() {
      isStopped = true;
      for (const call of watchers.keys()) call.emit('error', unavailable('The server is stopping'));
      watchers.clear();
    },
  };
}

type WatchCall = ServerWritableStream<ReceivedMessage, Buffer>;

const VARINT_MAX_SINGLE = 0x7f;
const SERVICE_KEY = 0x0a;

/** The one field of HealthCheckRequest, `string service = 1`. Names of more than 127 bytes are no service of anybody's. */
function readService(request: ReceivedMessage): string | UnreadableMessage {
  if (!Buffer.isBuffer(request)) return request;
  if (request.length === 0) return '';
  const length = request[1] ?? 0;
  const isPlain = request[0] === SERVICE_KEY && length <= VARINT_MAX_SINGLE && request.length === 2 + length;
  return isPlain
    ? request.toString('utf8', 2)
    : unreadable('Cannot read the health check: it is not a HealthCheckRequest');
}

/** HealthCheckResponse{ServingStatus status = 1}. */
function encodeState(state: number): Buffer {
  return Buffer.from([0x08, state]);
}
