import { describeError, KomError } from '../domain/errors.ts';
import type { Channel } from './channel.ts';
import { goodbye } from './ended.ts';
import type { Hello, Message, Welcome } from './messages.ts';

/** Both lanes of a session after their handshakes. */
export interface Lanes {
  readonly control: Channel;
  readonly data: Channel;
  /** Of the control lane. */
  readonly welcome: Welcome;
  /** Dictionaries that the Kernel has. */
  readonly knownDictionaries: readonly string[];
  /** The Kernel, for people: `10.0.0.5:3119`. */
  readonly kernel: string;
}

export interface GreetOptions {
  readonly hello: Hello;
  /** The Kernel, for people. */
  readonly kernel: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/**
 * Says Hello and waits for the Welcome. On failure the channel is destroyed.
 * @throws KomError KOM_CONNECTION_REFUSED, KOM_CONNECTION_TIMEOUT, KOM_CONNECTION_LOST; the signal's reason
 */
export async function greet(channel: Channel, options: GreetOptions): Promise<Welcome> {
  const { hello, kernel, timeoutMs, signal } = options;
  const abort = (): void => channel.destroy();
  signal.addEventListener('abort', abort, { once: true });
  try {
    signal.throwIfAborted();
    await channel.send({ type: 'hello', hello });
    const message = await channel.receiveWithin(timeoutMs);
    if (message?.type === 'welcome') {
      channel.established();
      return message.welcome;
    }
    throw new KomError('KOM_CONNECTION_REFUSED', `${kernel} did not welcome us`, {
      got: message === null ? 'the end of the connection' : describeAnswer(message),
      ...(message?.type === 'bye' ? goodbye(message.reason) : {}),
    });
  } catch (error) {
    channel.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

function describeAnswer(message: Message): string {
  return message.type === 'bye'
    ? `${message.type}: ${describeError(message.text)}`
    : `a message ${message.type}`;
}
