import { execFile } from 'node:child_process';
import { getEventListeners } from 'node:events';
import { mkdir, readdir, rename, stat } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { OpcuaLine } from '../../src/config/model.ts';
import { createOpcuaDriver } from '../../src/drivers/opcua/driver.ts';
import { type OpcuaSimulator, simulateOpcuaLine } from '../../src/sim/opcua/simulator.ts';
import { silentLog } from '../../src/world/log.ts';
import { createClock } from '../../src/world/real/clock.ts';
import { collect, opcuaLine, recording, temporaryDirectory, until } from './opcua-fixtures.ts';
import { bareServer } from './opcua-server.ts';

const clock = createClock();
const world = { clock, log: silentLog };
const signal = new AbortController().signal;
const run = promisify(execFile);

const SECURE = {
  securityPolicy: 'Basic256Sha256',
  securityMode: 'SignAndEncrypt',
  user: { name: 'operator', password: 'correct horse' },
} as const;

function simulate(line: OpcuaLine, pkiDirectory?: string): Promise<OpcuaSimulator> {
  const where = pkiDirectory === undefined ? {} : { pkiDirectory };
  return simulateOpcuaLine(line, { clock, seed: 3, recorder: recording(), port: 0, ...where });
}

test.each([
  { securityPolicy: 'None', securityMode: 'None' },
  { securityPolicy: 'None', securityMode: 'None', user: SECURE.user },
  { securityPolicy: 'Basic256Sha256', securityMode: 'Sign' },
  SECURE,
] as const)('values come with $securityPolicy, $securityMode, user $user.name', async (security) => {
  await using directory = await temporaryDirectory();
  const line = opcuaLine({ ...security, pkiDirectory: join(directory.path, 'pki') });
  await using simulator = await simulate(line);
  const driver = createOpcuaDriver({ ...line, endpointUrl: simulator.endpointUrl }, world);
  await using link = await driver.connect(signal);
  const collected = collect(link);
  await until(() => collected.readings().length > 0);
  const key = await stat(join(directory.path, 'pki/own/private_key.pem'));
  expect(key.mode & 0o077).toBe(0);
});

test('a wrong password is refused, and says whose', async () => {
  await using directory = await temporaryDirectory();
  const line = opcuaLine({ ...SECURE, pkiDirectory: directory.path });
  await using simulator = await simulate(line);
  const wrong = {
    ...line,
    user: { name: 'operator', password: 'wrong' },
    endpointUrl: simulator.endpointUrl,
  };
  const attempt = createOpcuaDriver(wrong, world).connect(signal);
  await expect(attempt).rejects.toMatchObject({ code: 'KOM_DEVICE_REJECTED' });
  await expect(attempt).rejects.toThrow(/user operator.*password/);
  await expect(attempt).rejects.not.toThrow(/wrong/);
  await until(() => simulator.sessions().current === 0);
  const { user: _user, ...anonymous } = wrong;
  await expect(createOpcuaDriver(anonymous, world).connect(signal)).rejects.toMatchObject({
    code: 'KOM_DEVICE_REJECTED',
  });
  await until(() => simulator.sessions().current === 0);
});

test('an address where nobody listens, and one that is not OPC UA, are unreachable', async () => {
  await using directory = await temporaryDirectory();
  const web = createServer((socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  await new Promise<void>((listening) => web.listen(0, '127.0.0.1', listening));
  const { port } = web.address() as AddressInfo;
  const nobody = ['opc.tcp://127.0.0.1:1/UA', 'opc.tcp://no-such-host.invalid:4840'];
  for (const endpointUrl of [...nobody, `opc.tcp://127.0.0.1:${port}`]) {
    const line = opcuaLine({ endpointUrl, pkiDirectory: directory.path });
    await expect(createOpcuaDriver(line, world).connect(signal)).rejects.toMatchObject({
      code: expect.stringMatching(/KOM_DEVICE_(UNREACHABLE|TIMEOUT)/),
      message: expect.stringContaining(endpointUrl),
    });
  }
  web.close();
});

test('security that the server does not offer is named with what it offers', async () => {
  await using directory = await temporaryDirectory();
  await using server = await bareServer(directory.path);
  const line = opcuaLine({ ...SECURE, endpointUrl: server.endpointUrl, pkiDirectory: directory.path });
  const attempt = createOpcuaDriver(line, world).connect(signal);
  await expect(attempt).rejects.toMatchObject({ code: 'KOM_DEVICE_REJECTED' });
  await expect(attempt).rejects.toThrow(/expected Basic256Sha256\/SignAndEncrypt; got None\/None/);
});

test('an untrusted server is refused until its certificate is moved, as the error says', async () => {
  await using directory = await temporaryDirectory();
  const line = opcuaLine({ ...SECURE, pkiDirectory: directory.path, trustOnFirstUse: false });
  await using simulator = await simulate(line);
  const driver = createOpcuaDriver({ ...line, endpointUrl: simulator.endpointUrl }, world);
  const error: unknown = await driver.connect(signal).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'KOM_DEVICE_REJECTED' });
  const [, from, to] = /move (\S+) to (\S+)/.exec(String(error)) ?? [];
  await mkdir(to!, { recursive: true });
  await rename(from!, join(to!, 'plant.pem'));
  await using link = await driver.connect(signal);
  expect(link).toBeDefined();
});

test('with trust on first use, a certificate that changes later is refused', async () => {
  await using directory = await temporaryDirectory();
  const pkiDirectory = join(directory.path, 'pki');
  const line = opcuaLine({ ...SECURE, pkiDirectory });
  const first = await simulate(line, join(directory.path, 'server-1'));
  const { endpointUrl } = first;
  const driver = createOpcuaDriver({ ...line, endpointUrl }, world);
  await (await driver.connect(signal))[Symbol.asyncDispose]();
  await (await driver.connect(signal))[Symbol.asyncDispose]();
  expect(await readdir(join(pkiDirectory, 'trusted'))).toHaveLength(1);
  await first[Symbol.asyncDispose]();
  const port = Number(new URL(endpointUrl.replace('opc.tcp', 'http')).port);
  const recorder = recording();
  const pki = join(directory.path, 'server-2');
  await using second = await simulateOpcuaLine(line, { clock, seed: 3, recorder, port, pkiDirectory: pki });
  expect(second.endpointUrl).toBe(endpointUrl);
  await expect(driver.connect(signal)).rejects.toThrow(/another certificate than before/);
});

test('an attempt that is aborted ends at once and leaves no session', async () => {
  await using directory = await temporaryDirectory();
  const line = opcuaLine({ pkiDirectory: directory.path });
  await using simulator = await simulate(line);
  const driver = createOpcuaDriver({ ...line, endpointUrl: simulator.endpointUrl }, world);
  for (const afterMs of [0, 5, 10, 20, 40]) {
    const abort = new AbortController();
    const attempt = driver.connect(abort.signal).then(
      (link) => link[Symbol.asyncDispose](),
      () => undefined,
    );
    setTimeout(() => abort.abort(new Error('stop')), afterMs);
    await attempt;
  }
  await until(() => simulator.sessions().current === 0);
});

test('aborting ends a quiet line, and disposing leaves no listener on the signal', async () => {
  await using directory = await temporaryDirectory();
  const [station] = opcuaLine().stations;
  const line = opcuaLine({ pkiDirectory: directory.path, stations: [{ ...station!, mode: 'off' }] });
  await using simulator = await simulate(line);
  const abort = new AbortController();
  const driver = createOpcuaDriver({ ...line, endpointUrl: simulator.endpointUrl }, world);
  const link = await driver.connect(abort.signal);
  const { ended } = collect(link);
  abort.abort(new Error('stop'));
  expect(await ended).toBeUndefined();
  await link[Symbol.asyncDispose]();
  const kept = new AbortController();
  await (await driver.connect(kept.signal))[Symbol.asyncDispose]();
  expect(getEventListeners(kept.signal, 'abort')).toEqual([]);
  expect(simulator.sessions().current).toBe(0);
});

test('nothing is printed on stdout, not even when things go wrong', async () => {
  await using directory = await temporaryDirectory();
  const line = opcuaLine({ ...SECURE, pkiDirectory: join(directory.path, 'pki') });
  await using simulator = await simulate(line);
  const root = resolve(import.meta.dirname, '../../src');
  const script = `
    import { createOpcuaDriver } from '${root}/drivers/opcua/driver.ts';
    import { createClock } from '${root}/world/real/clock.ts';
    import { silentLog } from '${root}/world/log.ts';
    const line = ${JSON.stringify({ ...line, endpointUrl: simulator.endpointUrl })};
    const world = { clock: createClock(), log: silentLog };
    const signal = new AbortController().signal;
    const bad = { ...line, user: { name: 'x', password: 'y' } };
    await createOpcuaDriver(bad, world).connect(signal).catch((error) => console.error(error.code));
    const link = await createOpcuaDriver(line, world).connect(signal);
    for await (const batch of link) { console.error('readings', batch.readings.length); break; }
    await link[Symbol.asyncDispose]();
    process.exitCode = 0;
  `;
  const home = join(directory.path, 'home');
  const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, HOME: home },
    timeout: 30_000,
  });
  expect(stdout).toBe('');
  expect(stderr).toContain('KOM_DEVICE_REJECTED');
  expect(stderr).toContain('readings');
  await expect(readdir(home)).rejects.toThrow(/ENOENT/);
});
