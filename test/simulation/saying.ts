import { decodeMessage, encodeMessage } from '../../src/uplink/codec.ts';
import { FrameSplitter } from '../../src/uplink/frame.ts';
import type { Message } from '../../src/uplink/messages.ts';
import type { Address, Connection, Transport } from '../../src/world/transport.ts';
import { delegated } from './delegate.ts';

const FRAME_BYTES_MAX = 16 * 1024 * 1024;

/** What is said instead of a message; `null`: nothing. */
export type Saying = (message: Message) => Message | null;

/** What this side dials or takes says something else. */
export function saying(transport: Transport, other: Saying): Transport {
  return {
    ...sayingTo(transport, () => () => other),
    listen: (address, accept, options) =>
      transport.listen(address, (connection) => accept(changed(connection, () => other)), options),
  };
}

/** What this side dials says something else now, by whom it is said to; `null`: what it says itself. */
export function sayingTo(transport: Transport, other: (to: Address) => () => Saying | null): Transport {
  return {
    ...transport,
    connect: async (address, ...rest) => changed(await transport.connect(address, ...rest), other(address)),
  };
}

function changed(connection: Connection, other: () => Saying | null): Connection {
  return delegated(connection, {
    [Symbol.asyncIterator]: () => connection[Symbol.asyncIterator](),
    send: async (bytes) => {
      const say = other();
      if (say === null) return await connection.send(bytes);
      const [payload] = new FrameSplitter(FRAME_BYTES_MAX).push(bytes);
      const message = payload === undefined ? null : decodeMessage(payload);
      const said = message === null ? null : say(message);
      if (said !== null) await connection.send(said === message ? bytes : encodeMessage(said));
    },
  });
}
