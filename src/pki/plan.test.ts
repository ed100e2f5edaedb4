import { expect, it } from 'vitest';
import { loadSite } from '../config/load.ts';
import { planMachines } from './plan.ts';

it('a comm server is certified for the addresses at which its peers reach it', async () => {
  const { site } = await loadSite('examples/site-redundant.json');
  const machines = planMachines(site, []);
  expect(machines.map(({ name, role, hosts }) => [name, role, hosts])).toEqual([
    ['ServerKom1', 'agent', ['192.168.50.11', '10.20.0.11']],
    ['ServerKom2', 'agent', ['192.168.50.12', '10.20.0.12']],
    ['kernel.10.20.0.1', 'kernel', ['10.20.0.1']],
    ['kernel.10.20.0.2', 'kernel', ['10.20.0.2']],
  ]);
  const open = site.servers.map((server) => ({
    ...server,
    peers: server.peers.map((peer, at) => ({ ...peer, insecure: at === 1 })),
  }));
  const some = planMachines({ ...site, servers: open }, []);
  expect(some[0]?.hosts).toEqual(['192.168.50.11']);
});
