import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClock } from '../../src/world/real/clock.ts';
import { createTcpTransport } from '../../src/world/real/tcp-transport.ts';
import { transportContract } from '../../src/world/transport.contract.ts';
import type { Connection } from '../../src/world/transport.ts';

const clock = createClock();
const transport = createTcpTransport();
const OPTIONS = { timeoutMs: 5000 };
let directory = '';
let paths = 0;
const freshPath = () => join(directory, `${paths++}.sock`);

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'kom-transport-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

transportContract('tcp', () => ({
  transport,
  pass: (promise) => promise,
  localPath: freshPath,
  sleep: (ms) => clock.sleep(ms),
}));

it('tells a machine on which nobody listens from one of which nothing is known', async () => {
  const free = await transport.listen({ host: '127.0.0.1', port: 0 }, () => {});
  await free.close();
  await expect(transport.connect(free.address, OPTIONS)).rejects.toMatchObject({
    code: 'KOM_CONNECTION_REFUSED',
  });
  // No address of a machine: the system knows no way there.
  const nowhere = transport.connect({ host: '255.255.255.255', port: 1 }, OPTIONS);
  await expect(nowhere).rejects.toMatchObject({ code: 'KOM_CONNECTION_UNREACHABLE' });
});

describe('Unix sockets', () => {
  it('are for the owner and the group only', async () => {
    const path = freshPath();
    const listener = await transport.listenLocal(path, () => {});
    expect(statSync(path).mode & 0o777).toBe(0o660);
    await listener.close();
  });

  it('replace the socket file of a killed process, but not that of a live one', async () => {
    const path = freshPath();
    const script = `
      const server = require('node:net').createServer();
      server.listen(${JSON.stringify(path)}, () => console.log('up'));`;
    const owner = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(owner.stdout, 'data');
    const second = transport.listenLocal(path, () => {});
    await expect(second).rejects.toMatchObject({ code: 'KOM_ALREADY_RUNNING' });
    owner.kill('SIGKILL');
    await once(owner, 'exit');
    expect(statSync(path).isSocket()).toBe(true);
    const accepted: Connection[] = [];
    const listener = await transport.listenLocal(path, (connection) => accepted.push(connection));
    const client = await transport.connectLocal(path, OPTIONS);
    client.destroy();
    await listener.close();
    for (const connection of accepted) connection.destroy();
  });

  it('never replace a file that is no socket', async () => {
    const path = freshPath();
    writeFileSync(path, 'precious');
    const listening = transport.listenLocal(path, () => {});
    await expect(listening).rejects.toMatchObject({ code: 'KOM_LISTEN' });
    expect(statSync(path).size).toBe(8);
  });

  it('say what is wrong with a path that is too long or leads nowhere', async () => {
    const plainFile = freshPath();
    writeFileSync(plainFile, 'no directory');
    for (const path of [join(directory, 'x'.repeat(200)), join(plainFile, 'kom.sock')]) {
      const listening = transport.listenLocal(path, () => {});
      await expect(listening).rejects.toMatchObject({ code: 'KOM_LISTEN' });
    }
  });
});

describe('connecting', () => {
  it('reports a name that does not resolve as out of reach', async () => {
    const opening = transport.connect({ host: 'no-such-host.invalid', port: 1 }, OPTIONS);
    await expect(opening).rejects.toMatchObject({ code: 'KOM_CONNECTION_UNREACHABLE' });
  });

  it('leaves from the local address that it is given', async () => {
    const accepted: Connection[] = [];
    const listener = await transport.listen({ host: '127.0.0.1', port: 0 }, (c) => accepted.push(c));
    const client = await transport.connect(listener.address, { ...OPTIONS, localAddress: '127.0.0.7' });
    while (accepted.length === 0) await clock.sleep(1);
    expect(accepted[0]?.remote).toMatch(/^127\.0\.0\.7:\d+$/);
    client.destroy();
    for (const connection of accepted) connection.destroy();
    await listener.close();
  });

  it('gives up after its time-out when nothing answers', async () => {
    // A listener whose queue of unaccepted connections is full answers nothing more.
    const script = `
      const net = require('node:net');
      const server = net.createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
        require('node:fs').writeSync(1, String(server.address().port));
        for (;;);
      });`;
    const deaf = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [port] = await once(deaf.stdout, 'data');
    const address = { host: '127.0.0.1', port: Number(port) };
    const results = await Promise.allSettled(
      Array.from({ length: 6 }, () => transport.connect(address, { timeoutMs: 300 })),
    );
    deaf.kill('SIGKILL');
    await once(deaf, 'exit');
    const codes = results.flatMap((result) => (result.status === 'rejected' ? [result.reason.code] : []));
    for (const result of results) if (result.status === 'fulfilled') result.value.destroy();
    expect(codes.length).toBeGreaterThan(0);
    expect(new Set(codes)).toEqual(new Set(['KOM_CONNECTION_TIMEOUT']));
  });

  it('stops connecting when its signal is aborted, and leaves no listener on it', async () => {
    const accepted: Connection[] = [];
    const listener = await transport.listen({ host: '127.0.0.1', port: 0 }, (c) => accepted.push(c));
    const controller = new AbortController();
    const reason = new Error('stop');
    let listeners = 0;
    const { signal } = controller;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners += 1;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners -= 1;
      remove(...args);
    };
    (await transport.connect(listener.address, { ...OPTIONS, signal })).destroy();
    expect(listeners).toBe(0);
    const opening = transport.connect(listener.address, { ...OPTIONS, signal });
    controller.abort(reason);
    await expect(opening).rejects.toBe(reason);
    expect(listeners).toBe(0);
    for (const connection of accepted) connection.destroy();
    await listener.close();
  });
});
