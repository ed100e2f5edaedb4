import { expect, test } from 'vitest';
import { encodeBlock } from '../../src/domain/block/codec.ts';
import type { Dictionary } from '../../src/domain/dictionary.ts';
import { encodeDictionary } from '../../src/domain/dictionary-codec.ts';
import { Quality } from '../../src/domain/quality.ts';
import { Channel } from '../../src/uplink/channel.ts';
import { encodeMessage } from '../../src/uplink/codec.ts';
import type { Hello, Lane, Message, StreamState } from '../../src/uplink/messages.ts';
import { talk } from './support/raw.ts';
import { GREEN, Setup } from './support/setup.ts';
import { sleep, until } from './support/until.ts';

const STREAM = 'ab'.repeat(16);
const HELLO_TIMEOUT_MS = 5000;

function helloOf(more: Partial<Hello> = {}): Message & { type: 'hello' } {
  return {
    type: 'hello',
    hello: {
      protocolMin: 1,
      protocolMax: 1,
      programVersion: '0.1.0',
      lane: 'control',
      sessionId: '',
      site: 'Other',
      process: 'KomX',
      instance: 1,
      siteHash: '00'.repeat(16),
      wallUs: Date.now() * 1000,
      streams: [],
      highestTerm: 0,
      highestKernelEpoch: 0,
      ...{ heartbeatMs: 0, silenceMaxMs: 0, dictionaryHashes: [] },
      ...more,
    },
  };
}

/** The next message that is more than a sign of life. */
async function answer(channel: Channel): Promise<Message | null> {
  let message = await channel.receive();
  while (message?.type === 'heartbeat') message = await channel.receive();
  return message;
}

function withOtherMagic(): Uint8Array {
  const bytes = Buffer.from(encodeMessage(helloOf()));
  const at = bytes.indexOf('KOM1');
  expect(at).toBeGreaterThan(0);
  bytes.write('MOK1', at);
  return bytes;
}

const HTTP =
  'GET /status HTTP/1.1\r\nHost: kernel.example:3119\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n';

/** The beginning of a ClientHello of OpenSSL: a TLS record of 512 bytes. */
const TLS_CLIENT_HELLO = Buffer.concat([
  Buffer.from('1603010200010001fc0303', 'hex'),
  Buffer.alloc(506, 0x5a),
]);

/** What comes on the port, and the reason that the log gives for ending it. */
const FOREIGN: Readonly<Record<string, { bytes: Uint8Array; reason: RegExp; isLate?: true }>> = {
  garbage: {
    bytes: Uint8Array.from({ length: 300 }, (_, at) => (at * 89 + 17) % 251),
    reason: /not of the protocol/,
  },
  'an HTTP request': {
    bytes: Buffer.from(HTTP),
    reason: /not of the protocol: it looks like an HTTP request/,
  },
  'a TLS ClientHello': { bytes: TLS_CLIENT_HELLO, reason: /it looks like a TLS handshake/ },
  'nothing at all': { bytes: new Uint8Array(), reason: /said nothing|no whole message/, isLate: true },
  'half a frame': { bytes: encodeMessage(helloOf()).subarray(0, 30), reason: /in time/, isLate: true },
  'a huge length': {
    bytes: Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2),
    reason: /larger than allowed/,
  },
  'a length without end': { bytes: new Uint8Array(64).fill(0xff), reason: /not of the protocol/ },
  'a Hello with another magic number': { bytes: withOtherMagic(), reason: /magic number/ },
  'a Hello of a future version': {
    bytes: encodeMessage(helloOf({ protocolMin: 98, protocolMax: 99 })),
    reason: /no protocol version of ours: Other\/KomX; expected 1 to 3; got 98 to 99/,
  },
  'a first message that is no Hello': {
    bytes: encodeMessage({ type: 'needDictionary', hash: '00'.repeat(16) }),
    reason: /the first message is needDictionary/,
  },
  'a data lane for no session': {
    bytes: encodeMessage(helloOf({ lane: 'data', sessionId: 'cd'.repeat(16) })),
    reason: /a data lane for no session/,
  },
};

test('foreign talk on the Kernel port ends that connection with a reason, and nothing else', async () => {
  await using setup = await Setup.start();
  const { sinceUs } = (await setup.status()).uplink;
  const names = Object.keys(FOREIGN);
  const talks = await Promise.all(
    names.map((name) => talk(setup.kernelAddress, FOREIGN[name]?.bytes ?? new Uint8Array())),
  );
  const closings = () => setup.kernelLog.lines.filter(({ msg }) => msg === 'connection closed');
  // What is wrong with several of one machine in the same way is said once.
  const saidOf = (name: string) =>
    closings().filter(({ error }) => FOREIGN[name]?.reason.test(String(error)) === true);
  await until('the log of each', () => names.every((name) => saidOf(name).length > 0));
  for (const [at, name] of names.entries()) {
    const { local, tookMs } = talks[at] as (typeof talks)[number];
    for (const { level } of saidOf(name)) expect(level, name).toBe('warn');
    const own = setup.kernelLog.lines.filter(({ level, remote }) => level === 'warn' && remote === local);
    expect(own.length, name).toBeLessThanOrEqual(1);
    const isLate = FOREIGN[name]?.isLate === true;
    expect(tookMs, name).toBeGreaterThan(isLate ? HELLO_TIMEOUT_MS - 500 : 0);
    expect(tookMs, name).toBeLessThan(isLate ? HELLO_TIMEOUT_MS + 3000 : 2500);
  }
  const future = talks[names.indexOf('a Hello of a future version')];
  expect(future?.received.toString('latin1'), 'a peer of the protocol is told why').toContain('98 to 99');
  expect((await setup.status()).uplink).toMatchObject({ sinceUs, lastError: null });
  expect(await setup.prove()).toMatchObject(GREEN);
});

test('a block of a stream that its Hello did not name ends that session only', async () => {
  await using setup = await Setup.start();
  const { sinceUs } = (await setup.status()).uplink;
  const stream: StreamState = {
    ...{ streamId: STREAM, bootId: STREAM, startedAtUs: Date.now() * 1000, previous: null },
    ...{ held: [], heldFromUs: 0, producedTo: 0, endedAtUs: null, running: true },
  };
  const open = async (lane: Lane, sessionId: string): Promise<{ channel: Channel; sessionId: string }> => {
    const connection = await setup.world.transport.connect(setup.kernelAddress, { timeoutMs: 1000 });
    const channel = new Channel(connection, setup.world.clock);
    await channel.send(helloOf({ lane, sessionId, streams: lane === 'control' ? [stream] : [] }));
    const welcome = await channel.receive();
    if (welcome?.type !== 'welcome') throw new Error(`a message ${welcome?.type}`);
    return { channel, sessionId: welcome.welcome.sessionId };
  };
  const { channel: control, sessionId } = await open('control', '');
  const { channel: data } = await open('data', sessionId);
  const dictionary: Dictionary = {
    site: 'Other',
    process: 'KomX',
    tags: [{ name: 'X.a', station: 'X', class: 'measurement', type: 'float64', unit: '', formerly: [] }],
  };
  const { hash, bytes: content } = encodeDictionary(dictionary);
  await data.send({ type: 'dictionary', hash, content });
  const sample = { tagIndex: 0, sourceTimeUs: Date.now() * 1000, value: 1, quality: Quality.good } as const;
  const blockOf = (streamId: string, firstSequence: number) =>
    encodeBlock([{ ...sample, cause: 'change' }], {
      ...{ streamId, firstSequence, dictionaryHash: hash, sealedMonotonicUs: 0 },
    });
  await data.send({ type: 'block', bytes: blockOf(STREAM, 1).bytes });
  expect(await answer(data)).toMatchObject({ type: 'ack', coverage: [{ throughSequence: 1 }] });
  // The number of the running agent's own stream, which is not this session's to send.
  const { streamId } = await setup.status();
  await data.send({ type: 'block', bytes: blockOf(streamId, 1_000_000).bytes });
  expect(await answer(data)).toMatchObject({
    type: 'bye',
    reason: 'protocol-error',
    text: expect.stringContaining(`stream ${streamId} was not named in the Hello`),
  });
  await until(
    'the end of the control lane',
    async () => (await control.receive().catch(() => null)) === null,
  );
  control.destroy();
  data.destroy();
  const [closed] = setup.kernelLog.lines.filter(({ msg }) => msg === 'connection closed');
  expect(closed).toMatchObject({
    level: 'warn',
    code: 'KOM_PROTOCOL_STATE',
    error: expect.stringContaining(`stream ${streamId} was not named in the Hello`),
  });
  await sleep(500);
  expect(await setup.prove()).toMatchObject(GREEN);
  expect((await setup.status()).uplink).toMatchObject({ sinceUs, lastError: null });
  expect((await setup.queries.tags('Other')).map(({ name }) => name)).toEqual(['X.a']);
});
