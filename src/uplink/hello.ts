import { KomError } from '../domain/errors.ts';
import { INSTANCES_MAX } from './limits.ts';
import {
  type ByeReason,
  type Hello,
  type Message,
  PROTOCOL_VERSION_MAX,
  PROTOCOL_VERSION_MIN,
} from './messages.ts';

/**
 * The Hello that a connection begins with. @throws KomError KOM_CONNECTION_REFUSED for a goodbye,
 * KOM_PROTOCOL_STATE for anything else
 */
export function helloOf(message: Message, remote: string): Hello {
  if (message.type === 'hello') return message.hello;
  if (message.type === 'bye') throw new KomError('KOM_CONNECTION_REFUSED', remote, { got: message.text });
  throw new KomError('KOM_PROTOCOL_STATE', `the first message is ${message.type}`);
}

/**
 * The highest version that both sides speak; `leastVersion`: the first one that has what is to be said.
 * @throws KomError KOM_PROTOCOL_VERSION
 */
export function agreedProtocol(hello: Hello, leastVersion = PROTOCOL_VERSION_MIN): number {
  const protocol = Math.min(hello.protocolMax, PROTOCOL_VERSION_MAX);
  if (protocol >= Math.max(hello.protocolMin, leastVersion)) return protocol;
  throw new KomError('KOM_PROTOCOL_VERSION', `${hello.site}/${hello.process}`, {
    expected: `${leastVersion} to ${PROTOCOL_VERSION_MAX}`,
    got: `${hello.protocolMin} to ${hello.protocolMax}`,
  });
}

/** @throws KomError KOM_FRAME_INVALID */
export function checkIdentity({ site, process, instance }: Hello): void {
  if (site === '' || process === '' || instance < 1 || instance > INSTANCES_MAX) {
    throw new KomError('KOM_FRAME_INVALID', 'a Hello without site, process, or instance of 1 to 15');
  }
}

/** What the other side is told about the end of its connection. */
export function byeReason(error: KomError): ByeReason {
  if (error.code === 'KOM_PROTOCOL_VERSION') return 'version';
  if (error.code === 'KOM_CONNECTION_TIMEOUT') return 'timeout';
  if (error.code === 'KOM_KERNEL_STANDBY') return 'standby';
  if (error.code === 'KOM_ALREADY_RUNNING') return 'forbidden';
  if (error.code === 'KOM_TLS_IDENTITY' || error.code === 'KOM_AGENT_UNKNOWN') return 'forbidden';
  return 'protocol-error';
}
