/*
 * A Kernel that was written from docs/PROTOCOL.md and src/uplink/kernel.proto alone, and imports nothing of
 * the program: what another party can do. Plain TCP, an archive in a file of JSON lines.
 *
 *   node test/third-party/kernel.ts PORT ARCHIVE [MS]
 *
 * MS: so long after the transaction an Ack goes out, which gives everything time to come twice.
 * SIGUSR2: it forgets its dictionaries. On its standard output: a line of JSON for each thing that happens.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import { zstdDecompressSync } from 'node:zlib';
import { Archive } from './archive.ts';
import { decodeBlock, openBlock } from './block.ts';
import { told } from './coverage.ts';
import type { Entry } from './entry.ts';
import { recordLosses } from './losses.ts';
import * as say from './messages.ts';
import { Fields, Frames } from './wire.ts';

const HELLO_TIMEOUT_MS = 5000;
const REPORT_MS = 50;
const BLOCK_BYTES_MAX = 4 * 1024 * 1024;
const BODY_BYTES_MAX = 16 * 1024 * 1024;
const DICTIONARY_BYTES_MAX = 32 * 1024 * 1024;

const [port, path, ackDelayMs = '0'] = process.argv.slice(2);
if (port === undefined || path === undefined) throw new Error('usage: kernel.ts PORT ARCHIVE [MS]');
const archive = new Archive(path);
const nowUs = (): number => Math.round(Date.now() * 1000);
const tell = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`);

interface Session {
  readonly hello: say.Hello;
  readonly control: Lane;
  data: Lane | null;
  readonly heartbeatMs: number;
  readonly silenceMaxMs: number;
  readonly streams: ReadonlySet<string>;
  readonly running: ReadonlySet<string>;
  /** At `untilUs` everything up to `producedTo` was observed; not yet covered. */
  claims: { streamId: string; producedTo: number; untilUs: number }[];
}

const sessions = new Map<string, Session>();

/** A connection, and what is said on it. */
class Lane {
  readonly socket: Socket;
  readonly frames = new Frames();
  receivedBytes = 0;
  heardMs = performance.now();
  echo: { monotonicUs: number; receivedUs: number } | null = null;
  #reportedBytes = 0;
  #timers: NodeJS.Timeout[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('close', () => {
      for (const timer of this.#timers) clearInterval(timer);
    });
  }

  send(bytes: Uint8Array): void {
    if (this.socket.writable) this.socket.write(bytes);
  }

  end(reason: number, text: string): void {
    tell({ bye: text });
    this.send(say.bye(reason, text));
    this.socket.end();
    setTimeout(() => this.socket.destroy(), 500).unref();
  }

  beat(everyMs: number): void {
    const send = (): void => {
      this.#reportedBytes = this.receivedBytes;
      const { receivedBytes, echo } = this;
      this.send(say.heartbeat({ wallUs: nowUs(), receivedBytes, echo }));
    };
    send();
    const report = setInterval(() => this.receivedBytes > this.#reportedBytes && send(), REPORT_MS);
    this.#timers.push(setInterval(send, everyMs), report);
  }

  watch(silenceMaxMs: number, data: () => Lane | null): void {
    const check = (): void => {
      const silentMs = performance.now() - this.heardMs;
      const dataMs = performance.now() - (data()?.heardMs ?? this.heardMs);
      if (silentMs > 4 * silenceMaxMs || Math.min(silentMs, dataMs) > silenceMaxMs) this.socket.destroy();
    };
    this.#timers.push(setInterval(check, silenceMaxMs / 10));
  }
}

function serve(socket: Socket): void {
  const lane = new Lane(socket);
  let take: ((number: number, fields: Fields) => void) | null = null;
  const late = setTimeout(() => take === null && lane.end(say.BYE.timeout, 'no Hello'), HELLO_TIMEOUT_MS);
  socket.on('error', () => {});
  socket.on('close', () => clearTimeout(late));
  socket.on('data', (chunk) => {
    lane.receivedBytes += chunk.length;
    lane.heardMs = performance.now();
    try {
      for (const payload of lane.frames.push(chunk)) {
        const fields = new Fields(payload);
        const [number, another] = fields.numbers;
        if (number === undefined || another !== undefined) throw new Error('not one message in a frame');
        const content = new Fields(fields.bytes(number));
        if (take !== null) take(number, content);
        else if (number === say.FRAME.hello) take = greet(lane, say.readHello(content));
        else throw new Error('the first message is no Hello');
      }
    } catch (error) {
      lane.end(say.BYE.protocolError, String(error));
    }
  });
}

type Take = (number: number, fields: Fields) => void;

function greet(lane: Lane, hello: say.Hello): Take {
  if (hello.protocolMin > 1 || hello.protocolMax < 1) {
    lane.end(say.BYE.version, 'this Kernel speaks version 1');
    return () => {};
  }
  lane.frames.bytesMax = 8 * 1024 * 1024;
  if (hello.lane === say.LANE.probe) {
    lane.send(say.welcome({ sessionId: newId(), wallUs: nowUs() }));
    return () => {};
  }
  return hello.lane === say.LANE.control ? greetControl(lane, hello) : greetData(lane, hello);
}

const newId = (): string => randomBytes(16).toString('hex');

function greetControl(lane: Lane, hello: say.Hello): Take {
  for (const { hello: other, control, data } of sessions.values()) {
    if (other.owner !== hello.owner) continue;
    for (const each of [control, data]) each?.end(say.BYE.replaced, 'a newer session of the same instance');
  }
  recordLosses(archive, hello);
  const asked = hello.heartbeatMs > 0 && hello.silenceMaxMs > 0;
  const sessionId = newId();
  const session: Session = {
    ...{ hello, control: lane, data: null, claims: [] },
    heartbeatMs: asked ? Math.max(50, hello.heartbeatMs) : 500,
    silenceMaxMs: asked ? Math.max(100, hello.silenceMaxMs) : 10_000,
    streams: new Set(
      hello.streams.flatMap(({ streamId, previous }) => [streamId, previous?.streamId ?? streamId]),
    ),
    running: new Set(hello.streams.flatMap(({ streamId, running }) => (running ? [streamId] : []))),
  };
  sessions.set(sessionId, session);
  lane.socket.on('close', () => {
    sessions.delete(sessionId);
    setTimeout(() => session.data?.socket.destroy(), 5000).unref();
  });
  const { heartbeatMs, silenceMaxMs } = session;
  const coverage = hello.streams.map(({ streamId }) => toldOf(session, streamId));
  lane.send(say.welcome({ sessionId, wallUs: nowUs(), coverage, heartbeatMs, silenceMaxMs }));
  tell({ welcome: coverage });
  lane.beat(heartbeatMs);
  lane.watch(silenceMaxMs, () => session.data);
  return (number, fields) => takeControl(session, number, fields);
}

function toldOf({ running }: Session, streamId: string): say.Told {
  return { streamId, ...told(archive.coverage(streamId), running.has(streamId)) };
}

function takeControl(session: Session, number: number, fields: Fields): void {
  if (number === say.FRAME.heartbeat) {
    const monotonicUs = fields.number(7);
    if (monotonicUs > 0) session.control.echo = { monotonicUs, receivedUs: nowUs() };
    for (const { streamId, producedTo, running } of fields.messages(2).map(say.readStream)) {
      if (running) session.claims.push({ streamId, producedTo, untilUs: fields.number(3) });
    }
    session.claims = session.claims.slice(-1000);
    observe(session);
  } else if (number === say.FRAME.live) {
    const values = fields.messages(3).map((value) => ({ tag: value.number(1), sequence: value.number(2) }));
    tell({ live: fields.hex(1), values });
  } else if (number !== say.FRAME.bye && number !== say.FRAME.commandResult) {
    throw new Error(`message ${number} on the control lane`);
  }
}

/** Claims whose numbers are covered become durable. */
function observe(session: Session): void {
  const reached = session.claims.filter(({ streamId, producedTo }) => {
    return producedTo <= toldOf(session, streamId).through;
  });
  session.claims = session.claims.filter((claim) => !reached.includes(claim));
  const news = reached.filter(({ streamId, untilUs }) => {
    return untilUs > (archive.observedUntilUs.get(streamId) ?? 0) + 1_000_000;
  });
  if (news.length > 0) archive.commit({ observed: news.slice(-1) });
}

function greetData(lane: Lane, hello: say.Hello): Take {
  const session = sessions.get(hello.sessionId);
  if (session === undefined || session.data !== null || session.hello.owner !== hello.owner) {
    throw new Error('a data lane for no session, or a second one');
  }
  session.data = lane;
  lane.socket.on('close', () => session.control.socket.destroy());
  const known = hello.dictionaries.filter((hash) => archive.dictionaries.has(hash));
  lane.send(say.welcome({ sessionId: hello.sessionId, wallUs: nowUs(), known }));
  lane.beat(session.heartbeatMs);
  return (number, fields) => takeData(session, lane, { number, fields });
}

function takeData(session: Session, lane: Lane, said: { number: number; fields: Fields }): void {
  const { number, fields } = said;
  if (number === say.FRAME.bye) lane.socket.end();
  const answer = answerTo(session, number, fields);
  if (answer !== null) setTimeout(() => lane.send(answer), Number(ackDelayMs));
  observe(session);
}

function answerTo(session: Session, number: number, fields: Fields): Uint8Array | null {
  switch (number) {
    case say.FRAME.dictionary:
      takeDictionary(fields);
      return null;
    case say.FRAME.block:
      return takeBlock(session, fields);
    case say.FRAME.gap: {
      const streamId = knownStream(session, fields.hex(1));
      const numbers = { first: fields.number(2), last: fields.number(3), countAtMost: fields.number(7) };
      const span = { reason: fields.text(4), fromUs: fields.number(5), toUs: fields.number(6) };
      archive.commit({ gaps: [{ streamId, ...numbers, ...span }] });
      return say.ack([toldOf(session, streamId)], []);
    }
    case say.FRAME.streamEnd: {
      const streamId = knownStream(session, fields.hex(1));
      archive.commit({ ended: [{ streamId, last: fields.number(2), atUs: fields.number(3) }] });
      return say.ack([toldOf(session, streamId)], []);
    }
    case say.FRAME.heartbeat:
    case say.FRAME.bye:
      return null;
    default:
      throw new Error(`message ${number} on the data lane`);
  }
}

function knownStream({ streams }: Session, streamId: string): string {
  if (!streams.has(streamId)) throw new Error(`stream ${streamId} was not named in the Hello`);
  return streamId;
}

function takeBlock(session: Session, fields: Fields): Uint8Array {
  const envelope = openBlock(fields.bytes(1));
  const { firstSequence, count, dictionaryHash: dictionary } = envelope.header;
  const streamId = knownStream(session, envelope.header.streamId);
  const range = { first: firstSequence, last: firstSequence + count - 1 };
  const refuse = (reason: number, text: string): Uint8Array => {
    tell({ nack: range, text });
    return say.nack(streamId, range, reason, text);
  };
  if (fields.bytes(1).length > BLOCK_BYTES_MAX || envelope.bodyBytes > BODY_BYTES_MAX) {
    return refuse(say.NACK.tooLarge, 'more than this Kernel takes');
  }
  const content = archive.dictionaries.get(dictionary);
  if (content === undefined) {
    tell({ needDictionary: dictionary });
    return say.needDictionary(dictionary);
  }
  let entries: Entry[];
  try {
    entries = decodeBlock(envelope);
    checkEntries(entries, content);
  } catch (error) {
    return refuse(say.NACK.undecodable, String(error));
  }
  const repair = fields.number(2) === 1;
  const news = archive.commit({ rows: [{ streamId, dictionary, entries, ...(repair ? { repair } : {}) }] });
  if (news < count) tell({ trimmed: count - news });
  return say.ack([toldOf(session, streamId)], fields.number(3) === 1 ? [{ streamId, ...range }] : []);
}

function checkEntries(entries: readonly Entry[], content: string): void {
  const { tags } = JSON.parse(content) as { tags: unknown[] };
  for (const { kind, tag, value } of entries) {
    if (kind === 'time gap' || kind === 'clock fix') JSON.parse(String(value));
    else if (tag >= tags.length) throw new Error('a tag index is not in the dictionary');
  }
}

function takeDictionary(fields: Fields): void {
  const packed = fields.bytes(2);
  const length = fields.number(4);
  if (length > DICTIONARY_BYTES_MAX) throw new Error('a dictionary is too large');
  const plain = fields.number(3) === 1 ? zstdDecompressSync(packed, { maxOutputLength: length }) : packed;
  const hash = createHash('sha256').update(plain).digest('hex').slice(0, 32);
  if (hash !== fields.hex(1)) throw new Error('a dictionary does not fit its hash');
  tell({ dictionary: hash });
  archive.commit({ dictionary: { hash, content: Buffer.from(plain).toString('utf8') } });
}

process.on('SIGUSR2', () => {
  archive.dictionaries.clear();
  tell({ forgot: 'dictionaries' });
});
createServer({ allowHalfOpen: true }, serve).listen(Number(port), '127.0.0.1', () => tell({ listens: port }));
