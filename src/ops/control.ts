import { describeError, type ErrorCode, isKomError, KomError, toldError } from '../domain/errors.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Connection, Listener, Transport } from '../world/transport.ts';

/**
 * The control socket: a Unix socket on which a running process answers its own command line. A request is
 * one line of JSON, `{"method","params"}`; the answer is a line `{"item"}` for each item and then
 * `{"end":true}` or `{"error":{"code","message"}}`. One request a connection.
 */
const REQUEST_BYTES_MAX = 64 * 1024;
const REQUEST_TIMEOUT_MS = 5000;
const CONNECT_TIMEOUT_MS = 2000;

/** Answers one method. What it yields must be JSON. */
export type ControlHandler = (params: Readonly<Record<string, unknown>>) => AsyncIterable<unknown>;

export interface ControlServerOptions {
  readonly transport: Transport;
  readonly path: string;
  readonly handlers: Readonly<Record<string, ControlHandler>>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Listens until closed. @throws KomError KOM_ALREADY_RUNNING if another process listens there */
export function serveControl(options: ControlServerOptions): Promise<Listener> {
  return options.transport.listenLocal(options.path, (connection) => {
    const timer = options.clock.schedule('control request', REQUEST_TIMEOUT_MS, () => connection.destroy());
    answer(connection, options, () => timer.cancel())
      .catch((error: unknown) => {
        options.log.debug({ error: describeError(error) }, 'a control connection broke');
      })
      .finally(() => {
        timer.cancel();
        connection.close();
      });
  });
}

async function answer(
  connection: Connection,
  options: ControlServerOptions,
  arrived: () => void,
): Promise<void> {
  const reply = (line: unknown): Promise<void> => connection.send(Buffer.from(`${JSON.stringify(line)}\n`));
  try {
    const { method, params } = await readRequest(connection);
    arrived();
    const handler = Object.hasOwn(options.handlers, method) ? options.handlers[method] : undefined;
    if (handler === undefined) {
      throw new KomError('KOM_USAGE', `the control socket has no method ${method}`, {
        expected: Object.keys(options.handlers).join(', '),
      });
    }
    for await (const item of handler(params)) await reply({ item });
    await reply({ end: true });
  } catch (error) {
    if (isKomError(error, 'KOM_CONNECTION_LOST')) throw error;
    const code = isKomError(error) ? error.code : 'KOM_INTERNAL';
    if (!isKomError(error)) options.log.error({ error: describeError(error) }, 'a control request failed');
    await reply({ error: { code, message: describeError(error) } });
  }
}

interface Request {
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

async function readRequest(connection: Connection): Promise<Request> {
  for await (const line of lines(connection, REQUEST_BYTES_MAX)) {
    const request = parse(line) as Partial<Request> | null;
    if (typeof request?.method !== 'string') break;
    return { method: request.method, params: request.params ?? {} };
  }
  throw new KomError('KOM_USAGE', 'a control request is one line of JSON with a method');
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

async function* lines(connection: Connection, lineBytesMax: number): AsyncGenerator<string> {
  let rest = Buffer.alloc(0);
  for await (const bytes of connection) {
    rest = Buffer.concat([rest, bytes]);
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      yield rest.subarray(0, end).toString('utf8');
      rest = rest.subarray(end + 1);
    }
    if (rest.length > lineBytesMax)
      throw new KomError('KOM_USAGE', `a line is longer than ${lineBytesMax} bytes`);
  }
}

/** A call to the process that listens on a control socket. */
export interface ControlCall {
  readonly transport: Transport;
  readonly path: string;
  readonly method: string;
  readonly params?: Readonly<Record<string, unknown>>;
}

/**
 * The items of the answer.
 * @throws KomError KOM_NOT_RUNNING if nobody listens, else what the other side threw
 */
export async function* callControl(call: ControlCall): AsyncGenerator<unknown> {
  const connection = await call.transport.connectLocal(call.path, { timeoutMs: CONNECT_TIMEOUT_MS });
  try {
    const request = { method: call.method, params: call.params ?? {} };
    await connection.send(Buffer.from(`${JSON.stringify(request)}\n`));
    for await (const line of lines(connection, Number.POSITIVE_INFINITY)) {
      const reply = parse(line) as {
        item?: unknown;
        end?: boolean;
        error?: { code: ErrorCode; message: string };
      };
      if (reply.error !== undefined) throw toldError(reply.error);
      if (reply.end === true) return;
      yield reply.item;
    }
    throw new KomError('KOM_CONNECTION_LOST', 'the answer ended in the middle');
  } finally {
    connection.destroy();
  }
}
