import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Agent } from '../../src/agent/agent.ts';
import { runCommandLine } from '../../src/cli/program.ts';
import { realWorld } from '../../src/cli/world.ts';
import { loadKernelConfig, loadSite } from '../../src/config/load.ts';
import { Kernel } from '../../src/kernel/kernel.ts';
import { kernelsOnly } from '../../src/uplink/kernel-certificate.ts';
import { openLevelDisk } from '../../src/world/real/level-disk.ts';
import { SimulatedArchive } from '../../src/world/simulated/archive.ts';
import type { Connection } from '../../src/world/transport.ts';
import {
  agent as agentIdentity,
  kernel as kernelIdentity,
  SITE,
  TestAuthority,
} from '../integration/support/certificates.ts';
import { keptLog } from '../integration/support/log.ts';
import { freePort, until } from '../integration/support/until.ts';

const world = realWorld({ level: 'silent', name: 'test' });
const output = { line: () => {}, note: () => {}, isTerminal: false, columns: 80 };
const QUICK = { reconnectDelayMin: '50ms', reconnectDelayMax: '200ms', connectTimeout: '1s' };

describe('a session over TLS', () => {
  let directory = '';
  let port = 0;
  const running: { stop(): Promise<void> }[] = [];
  const agentLog = keptLog('kom');
  const kernelLog = keptLog('kernel');

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'kom-tls-session-'));
    port = await freePort();
    agentLog.lines.length = 0;
    kernelLog.lines.length = 0;
    writeFileSync(join(directory, 'kernel.json'), JSON.stringify({ listen: `127.0.0.1:${port}`, tls: {} }));
    writeSite({});
    expect(await runCommandLine(['pki', 'init', join(directory, 'site.json')], output)).toBe(0);
    install('ServerKom1', 'ServerKom1');
    install('kernel.127.0.0.1', 'kernel');
  });
  afterEach(async () => {
    await stopAll();
    rmSync(directory, { recursive: true });
  });

  const stopAll = async (): Promise<void> => {
    for (const each of running.splice(0)) await each.stop();
  };
  const install = (folder: string, to: string): void =>
    cpSync(join(directory, 'pki', folder), join(directory, 'tls', to), { recursive: true });

  function writeSite(changes: Readonly<Record<string, unknown>>, process = 'KomA'): void {
    const site = {
      site: 'Plant 1',
      kernels: [{ address: `127.0.0.1:${port}` }],
      tls: {},
      servers: { ServerKom1: { instance: 1, data: './agent', controlSocket: './agent.sock' } },
      processes: { [process]: { uplink: QUICK, lines: {} } },
      ...changes,
    };
    writeFileSync(join(directory, 'site.json'), JSON.stringify(site));
  }

  async function startKernel(): Promise<Kernel> {
    const { config } = await loadKernelConfig(join(directory, 'kernel.json'));
    const openArchive = async () => new SimulatedArchive();
    const handlers = () => ({});
    const kernel = await Kernel.start({ ...world, log: kernelLog.log, config, openArchive, handlers });
    running.unshift(kernel);
    return kernel;
  }

  async function startAgent(): Promise<Agent> {
    const { site } = await loadSite(join(directory, 'site.json'));
    const agent = await Agent.start({
      ...{ ...world, log: agentLog.log, openDisk: openLevelDisk, exists: existsSync },
      ...{ site, server: site.servers[0]!, processes: site.processes },
    });
    running.unshift(agent);
    return agent;
  }
  const uplinkOf = (agent: Agent) => agent.status.instances[0]?.uplink;
  const untilOnline = (agent: Agent) => until('a session', () => uplinkOf(agent)?.kernel !== null);
  const untilError = (agent: Agent, text: string, timeoutMs?: number) =>
    until(text, () => uplinkOf(agent)?.lastError?.includes(text) === true, timeoutMs);
  const kernelSaid = (code: string) => kernelLog.lines.filter((line) => line['code'] === code).length;

  it('comes about with what kom pki init makes, and both sides show their certificates', async () => {
    const kernel = await startKernel();
    const agent = await startAgent();
    await untilOnline(agent);
    expect(agent.status.certificate).toMatchObject({
      ...{ subject: 'CN=ServerKom1, O=KOM Archive', daysLeft: 1094, error: null, warnings: [] },
    });
    expect(kernel.status.certificate).toMatchObject({ daysLeft: 1094, error: null, warnings: [] });
    expect(kernelSaid('KOM_TLS_IDENTITY')).toBe(0);
  });

  it('comes about with a Kernel that dials, and only with one', async () => {
    const where = `127.0.0.1:${await freePort()}`;
    const uplink = { ...QUICK, listen: { address: where } };
    writeSite({ kernels: [], processes: { KomA: { uplink, lines: {} } } });
    const agents = [{ site: 'Plant 1', process: 'KomA', addresses: [where], retry: '200ms' }];
    const config = { listen: `127.0.0.1:${port}`, tls: {}, agents };
    writeFileSync(join(directory, 'kernel.json'), JSON.stringify(config));
    install('ServerKom1', 'kernel');
    const impostor = await startKernel();
    const agent = await startAgent();
    await until('the refusal', () =>
      agentLog.lines.some(({ msg, code }) => msg.startsWith('refused') && code === 'KOM_TLS_IDENTITY'),
    );
    expect(uplinkOf(agent)?.kernel).toBeNull();
    await impostor.stop();
    running.splice(running.indexOf(impostor), 1);
    install('kernel.127.0.0.1', 'kernel');
    await startKernel();
    await untilOnline(agent);
    expect(kernelLog.lines.some((line) => line['certificateDaysLeft'] === 1094)).toBe(true);
  });

  it('is refused to a process that the certificate does not speak for, on both sides aloud', async () => {
    await startKernel();
    writeSite({}, 'KomB');
    const agent = await startAgent();
    await untilError(agent, 'a certificate does not speak for who shows it: Plant 1/KomB instance 1');
    expect(kernelSaid('KOM_TLS_IDENTITY')).toBeGreaterThan(0);
    expect(agent.status.certificate?.warnings.join()).toContain('urn:kom:Plant%201:agent:KomB:1');
  });

  it('is refused to a Kernel with the certificate of an agent', async () => {
    install('ServerKom1', 'kernel');
    await startKernel();
    const agent = await startAgent();
    await untilError(agent, 'expected a certificate of a Kernel of site Plant 1');
  });

  it('is refused to a Kernel whose certificate is for another address', async () => {
    writeSite({ kernels: [{ address: `localhost:${port}` }] });
    await startKernel();
    await untilError(await startAgent(), 'expected a certificate for localhost; got CN=kernel.127.0.0.1');
  });

  it('is refused once the Kernel has a list that revokes the agent, without a restart', async () => {
    const kernel = await startKernel();
    const agent = await startAgent();
    await untilOnline(agent);
    await agent.stop();
    running.shift();
    const pki = join(directory, 'pki');
    expect(await runCommandLine(['pki', 'revoke', 'ServerKom1', '--directory', pki], output)).toBe(0);
    install('kernel.127.0.0.1', 'kernel');
    await until('the new list', () => kernelLog.lines.some(({ msg }) => msg.includes('read again')));
    await untilError(await startAgent(), 'a certificate was revoked');
    expect(kernelSaid('KOM_TLS_REVOKED')).toBeGreaterThan(0);
    expect(kernel.status.processes[0]?.isConnected).toBe(false);
  });

  it('does not come about with one side in the open, and both say why', async () => {
    await startKernel();
    writeSite({ kernels: [{ address: `127.0.0.1:${port}`, insecure: true }] });
    await untilError(await startAgent(), 'does not speak TLS, and this port does');
    expect(kernelSaid('KOM_TLS_PLAINTEXT')).toBe(1);
    await stopAll();
    writeFileSync(join(directory, 'kernel.json'), JSON.stringify({ listen: `127.0.0.1:${port}` }));
    await startKernel();
    writeSite({});
    await untilError(await startAgent(), 'one side speaks TLS and the other does not');
    const said = kernelLog.lines.map((line) => String(line['error']));
    expect(said.some((text) => text.includes('it looks like a TLS handshake'))).toBe(true);
  });

  it('waits for certificates without stopping the agent; a Kernel without them does not start', async () => {
    rmSync(join(directory, 'tls'), { recursive: true });
    await expect(startKernel()).rejects.toThrow('kom pki init');
    const agent = await startAgent();
    await untilError(agent, 'a file of keys or certificates is not usable');
    install('ServerKom1', 'ServerKom1');
    install('kernel.127.0.0.1', 'kernel');
    await startKernel();
    await untilOnline(agent);
  });
});

describe('a Kernel that dials', () => {
  let authority: TestAuthority;
  const open: { destroy(): void }[] = [];
  beforeAll(async () => {
    authority = await TestAuthority.make();
  });
  afterEach(() => {
    for (const each of open.splice(0)) each.destroy();
  });

  it('is let in by its role; an agent that dials is not', async () => {
    const { transport, clock } = world;
    const { lines, log } = keptLog('kom');
    const ours = await authority.material([agentIdentity()]);
    const accepted: Connection[] = [];
    const listener = await kernelsOnly(transport, { site: SITE, clock, log }).listen(
      { host: '127.0.0.1', port: 0 },
      (connection) => void accepted.push(connection),
      { tls: { material: () => ours } },
    );
    const dial = async (identity: Parameters<TestAuthority['material']>[0]) => {
      const material = await authority.material(identity);
      const tls = { material: () => material };
      open.push(await transport.connect(listener.address, { timeoutMs: 2000, tls }));
    };
    await dial([agentIdentity('KomB')]);
    await dial([kernelIdentity('other site')]);
    await until('two refusals', () => lines.length === 2);
    expect(lines.map((line) => line['code'])).toEqual(['KOM_TLS_IDENTITY', 'KOM_TLS_IDENTITY']);
    await dial([kernelIdentity()]);
    await until('the Kernel', () => accepted.length === 1);
    open.push(...accepted);
    await listener.close();
  });
});
