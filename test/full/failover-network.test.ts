import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { AgentStatus } from '../../src/agent/agent.ts';
import { callControl } from '../../src/ops/control.ts';
import { createTcpTransport } from '../../src/world/real/tcp-transport.ts';
import { formatAddress } from '../../src/world/transport.ts';
import { Namespaces, NETWORK } from '../failover/namespaces.ts';
import { writePairSite } from '../failover/pair-site.ts';
import { Kom } from '../integration/support/kom.ts';
import { noNamespaces } from '../integration/support/namespaces.ts';
import { sleep, until } from '../integration/support/until.ts';

const missing = noNamespaces();
if (missing !== null) console.warn(`failover-network.test.ts is skipped: ${missing}`);

type InstanceNumber = 1 | 2;

test.skipIf(missing !== null)(
  'cables pulled between namespaces, firewalls that open 3119 and 3120: uplink, then hole A, then all',
  async () => {
    using network = new Namespaces();
    const directory = mkdtempSync(join(tmpdir(), 'kom-net-'));
    await using stack = new AsyncDisposableStack();
    stack.defer(() => rmSync(directory, { recursive: true, force: true }));
    const peer = (instance: InstanceNumber) => {
      const address = NETWORK.peers[instance];
      return { address, listen: address };
    };
    const site = writePairSite(directory, {
      ...{ kernel: NETWORK.kernel, peers: { 1: peer(1), 2: peer(2) }, modbus: NETWORK.plant },
      ...{ opcuaPort: null, standby: 'hot', isOpen: true },
    });
    const kernelFile = join(directory, 'kernel.json');
    const listen = { listen: formatAddress(NETWORK.kernel), insecure: true };
    writeFileSync(
      kernelFile,
      JSON.stringify({ ...listen, archive: { directory: './archive' }, controlSocket: './kernel.sock' }),
    );
    const spawn = (namespace: string, ...args: string[]) => stack.use(new Kom(args, { namespace }));
    spawn(network.plant, 'sim', '--from', site);
    await spawn(network.application, 'kernel', kernelFile).untilLog('Kernel listens');
    const servers = new Map<InstanceNumber, Kom>();
    for (const instance of [1, 2] as const) {
      const args = ['run', site, '--server', `ServerKom${instance}`];
      servers.set(instance, spawn(network.server[instance], ...args));
      await servers.get(instance)?.untilLog('running');
      await untilRole(directory, instance, instance === 1 ? 'active' : 'standby');
    }
    await until('the peers to hear each other', async () => {
      return (await member(directory, 2)).peer?.state === 'there';
    });

    const pulledUs = Date.now() * 1000;
    network.uplink(1, 'down');
    const uplinkMs = (await activeSince(directory, 2, pulledUs)) / 1000;
    await untilRole(directory, 1, 'standby');

    network.uplink(2, 'down');
    await sleep(3000);
    expect((await member(directory, 2)).role, 'nothing moves without a Kernel').toBe('active');
    const killedUs = Date.now() * 1000;
    await servers.get(2)?.kill('SIGKILL');
    const killMs = (await activeSince(directory, 1, killedUs)) / 1000;

    const args = ['run', site, '--server', 'ServerKom2'];
    await spawn(network.server[2], ...args).untilLog('running');
    await untilRole(directory, 2, 'standby');
    await sleep(1000);
    network.peerLink('down');
    await untilRole(directory, 2, 'active');
    expect((await member(directory, 1)).role, 'both collect').toBe('active');
    for (const instance of [1, 2] as const) network.uplink(instance, 'up');
    network.peerLink('up');
    await until(
      'exactly one to be active',
      async () => {
        const roles = await Promise.all([member(directory, 1), member(directory, 2)]);
        return (
          roles
            .map(({ role }) => role)
            .toSorted()
            .join() === 'active,standby'
        );
      },
      30_000,
    );
    console.info('namespaces', { uplinkMs, killMs });
    expect(uplinkMs).toBeLessThan(2000);
    expect(killMs).toBeLessThan(1000);
  },
);

async function member(directory: string, instance: InstanceNumber) {
  const path = join(directory, `agent${instance}.sock`);
  for await (const item of callControl({ transport: createTcpTransport(), path, method: 'status' })) {
    const found = (item as AgentStatus).instances[0]?.member;
    if (found !== undefined && found !== null) return found;
  }
  throw new Error('no instance');
}

async function untilRole(directory: string, instance: InstanceNumber, role: string): Promise<void> {
  const holds = async () => (await member(directory, instance)).role === role;
  await until(`instance ${instance} to be ${role}`, holds, 30_000);
}

/** How long after a moment it became active, µs. */
async function activeSince(directory: string, instance: InstanceNumber, sinceUs: number): Promise<number> {
  let atUs = 0;
  await until(`instance ${instance} to become active`, async () => {
    const { changes } = await member(directory, instance);
    atUs = changes.find(({ phase, atUs: at }) => phase === 'active' && at > sinceUs)?.atUs ?? 0;
    return atUs > 0;
  });
  return atUs - sinceUs;
}
