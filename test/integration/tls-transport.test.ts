import { mkdtempSync, rmSync } from 'node:fs';
import { connect as connectPlain, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { KomError } from '../../src/domain/errors.ts';
import { createClock } from '../../src/world/real/clock.ts';
import { createTcpTransport } from '../../src/world/real/tcp-transport.ts';
import { transportContract } from '../../src/world/transport.contract.ts';
import type { Connection, Listener, Refusal, TlsMaterial, Transport } from '../../src/world/transport.ts';
import { agent, kernel, TestAuthority } from './support/certificates.ts';

const clock = createClock();
const tcp = createTcpTransport();
const LOOPBACK = { host: '127.0.0.1', port: 0 };
let directory = '';
let paths = 0;
let authority: TestAuthority;
let ours: TlsMaterial;
let theirs: TlsMaterial;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'kom-tls-'));
  authority = await TestAuthority.make();
  ours = await authority.material([agent()]);
  theirs = await authority.material([kernel()]);
});
afterAll(() => rmSync(directory, { recursive: true }));

/** The transport of this machine with TLS on everything but Unix sockets. */
const secure: Transport = {
  ...tcp,
  connect: (address, options) => tcp.connect(address, { ...options, tls: { material: () => ours } }),
  listen: (address, accept, options) =>
    tcp.listen(address, accept, { ...options, tls: { material: () => theirs } }),
};

transportContract('TLS', () => ({
  transport: secure,
  pass: (promise) => promise,
  localPath: () => join(directory, `${paths++}.sock`),
  sleep: (ms) => clock.sleep(ms),
}));

describe('TLS transport', () => {
  const listeners: Listener[] = [];
  const connections: (Connection | Socket)[] = [];
  afterEach(async () => {
    for (const connection of connections.splice(0)) connection.destroy();
    for (const listener of listeners.splice(0)) await listener.close();
  });

  /** A listener with some material; what it accepts and refuses. */
  async function listening(material: () => TlsMaterial) {
    const accepted: Connection[] = [];
    const refused: Refusal[] = [];
    const listener = await tcp.listen(
      LOOPBACK,
      (connection) => {
        accepted.push(connection);
        connections.push(connection);
      },
      {
        tls: { material },
        refused: (refusal) => {
          refused.push(refusal);
          refusal.connection?.destroy();
        },
      },
    );
    listeners.push(listener);
    const dial = async (from: TlsMaterial) => {
      const tls = { material: () => from };
      const connection = await tcp.connect(listener.address, { timeoutMs: 2000, tls });
      connections.push(connection);
      return connection;
    };
    const until = async (count: number) => {
      while (accepted.length + refused.length < count) await clock.sleep(5);
    };
    return { listener, accepted, refused, dial, until };
  }
  const failure = async (promise: Promise<unknown>): Promise<KomError> => {
    const error = await promise.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(Error);
    return error as KomError;
  };

  it('tells each side whom the certificate of the other speaks for', async () => {
    const { accepted, dial, until } = await listening(() => theirs);
    const connection = await dial(ours);
    await until(1);
    expect(connection.peerCertificate?.identities).toEqual([kernel()]);
    expect(connection.peerCertificate?.hosts).toEqual(['127.0.0.1']);
    expect(accepted[0]?.peerCertificate?.identities).toEqual([agent()]);
  });

  it('the one that dials refuses another authority, a date, and a revoked certificate', async () => {
    const other = await TestAuthority.make('elsewhere');
    const foreign = { ...(await other.material([kernel()])), ca: authority.certificate, crl: theirs.crl! };
    const stranger = await listening(() => foreign);
    expect((await failure(stranger.dial(ours))).code).toBe('KOM_TLS_UNKNOWN_CA');
    // Another run of kom pki init for the same site: an authority of the same name.
    const namesake = await (await TestAuthority.make()).material([kernel()]);
    const twice = await failure((await listening(() => namesake)).dial(ours));
    expect(twice.code).toBe('KOM_TLS_UNKNOWN_CA');
    expect(twice.message).toContain('both sides need certificates of one authority');
    const old = await authority.material([kernel()], { from: -50, to: -1 });
    const expired = await failure((await listening(() => old)).dial(ours));
    expect(expired.code).toBe('KOM_TLS_EXPIRED');
    expect(expired.message).toContain('the clock of this machine shows 2');
    const early = await authority.material([kernel()], { from: 5 });
    const future = { what: 'the newest certificate was issued', atUs: (Date.now() + 86_400_000) * 1000 };
    const notYet = await failure((await listening(() => early)).dial({ ...ours, passed: [future] }));
    expect(notYet.code).toBe('KOM_TLS_NOT_YET_VALID');
    expect(notYet.message).toContain('the clock of this machine is wrong');
    const gone = await authority.material([kernel()]);
    const crl = await authority.revoke(gone);
    const revoked = await failure((await listening(() => gone)).dial({ ...ours, crl }));
    expect(revoked.code).toBe('KOM_TLS_REVOKED');
  });

  it('the one that listens refuses the same, and whoever shows nothing', async () => {
    const other = await TestAuthority.make('elsewhere');
    const gone = await authority.material([agent()]);
    const crl = await authority.revoke(gone);
    const { accepted, refused, dial, until, listener } = await listening(() => ({ ...theirs, crl }));
    const foreign = { ...(await other.material([agent()])), ca: authority.certificate, crl: ours.crl! };
    const shown = [
      foreign,
      await authority.material([agent()], { from: -50, to: -1 }),
      await authority.material([agent()], { from: 5 }),
      gone,
    ];
    for (const [index, material] of shown.entries()) {
      await dial(material);
      await until(index + 1);
    }
    const { port } = listener.address;
    const nobody = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false }).on('error', () => {});
    connections.push(nobody);
    await until(5);
    const old = connectTls({
      ...{ host: '127.0.0.1', port, rejectUnauthorized: false, maxVersion: 'TLSv1.2' },
      ...{ key: ours.key, cert: ours.certificate },
    }).on('error', () => {});
    connections.push(old);
    await until(6);
    expect(refused.map(({ error }) => error.code)).toEqual([
      ...['KOM_TLS_UNKNOWN_CA', 'KOM_TLS_EXPIRED', 'KOM_TLS_NOT_YET_VALID', 'KOM_TLS_REVOKED'],
      ...['KOM_TLS_NO_CERTIFICATE', 'KOM_TLS_HANDSHAKE'],
    ]);
    expect(refused[5]?.error.message).toContain('expected TLS 1.3');
    expect(accepted).toEqual([]);
  });

  it('names plain text on a port with TLS, and TLS on a port without', async () => {
    const { refused, until, listener } = await listening(() => theirs);
    const plain = await tcp.connect(listener.address, { timeoutMs: 2000 });
    connections.push(plain);
    await plain.send(Buffer.from('5a0a580a0101', 'hex'));
    await until(1);
    expect(refused[0]?.error.code).toBe('KOM_TLS_PLAINTEXT');
    expect(refused[0]?.connection).not.toBeNull();

    const open = await tcp.listen(LOOPBACK, (connection) => {
      connections.push(connection);
      void connection.send(Buffer.from('5a0a580a0101', 'hex'));
    });
    listeners.push(open);
    const tls = { material: () => ours };
    const error = await failure(tcp.connect(open.address, { timeoutMs: 2000, tls }));
    expect(error.code).toBe('KOM_TLS_PLAINTEXT');
  });

  it('uses new material for new connections; unusable material leaves the former in force', async () => {
    let material = theirs;
    const { dial } = await listening(() => material);
    const first = (await dial(ours)).peerCertificate?.fingerprint;
    material = await authority.material([kernel()]);
    const second = (await dial(ours)).peerCertificate?.fingerprint;
    expect(second).not.toBe(first);
    material = { ...theirs, key: ours.key };
    expect((await dial(ours)).peerCertificate?.fingerprint).toBe(second);
    const error = await failure(tcp.listen(LOOPBACK, () => {}, { tls: { material: () => material } }));
    expect(error.code).toBe('KOM_TLS_KEY');
    expect((await failure(dial(material))).code).toBe('KOM_TLS_KEY');
  });

  it('a flood of connections that say nothing is cut off, and those after it are served', async () => {
    const { listener, refused, accepted, dial } = await listening(() => theirs);
    const silent = Array.from({ length: 120 }, () =>
      connectPlain(listener.address.port, '127.0.0.1').on('error', () => {}),
    );
    connections.push(...silent);
    while (refused.length < 20) await clock.sleep(5);
    expect(refused.every(({ error }) => error.code === 'KOM_LIMIT_EXCEEDED')).toBe(true);
    for (const socket of silent) socket.destroy();
    await clock.sleep(1100);
    await dial(ours);
    while (accepted.length < 1) await clock.sleep(5);
  });

  it('gives up a handshake that does not come to its end', async () => {
    const { listener, refused, until } = await listening(() => theirs);
    connections.push(connectPlain(listener.address.port, '127.0.0.1').on('error', () => {}));
    await until(1);
    expect(refused[0]?.error.code).toBe('KOM_CONNECTION_TIMEOUT');
    const silent = await tcp.listen(LOOPBACK, (connection) => connections.push(connection));
    listeners.push(silent);
    const dialling = tcp.connect(silent.address, { timeoutMs: 100, tls: { material: () => ours } });
    expect((await failure(dialling)).code).toBe('KOM_CONNECTION_TIMEOUT');
  });
});
