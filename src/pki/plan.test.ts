import { expect, it } from 'vitest';
import { loadSite } from '../config/load.ts';
import { addNamedKernel } from './named-kernel.ts';
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

it('two Kernels never share a certificate by chance', async () => {
  const { site } = await loadSite('examples/site-redundant.json');
  const [kernel] = site.kernels;
  const central = { ...site, kernels: kernel === undefined ? [] : [{ ...kernel, host: 'central' }] };
  const named = (text: string) => planMachines(central, addNamedKernel(text, []));
  expect(() => named('central=10.0.0.7')).toThrow('expected --kernel central=10.0.0.7,central, or another');
  expect(named('central=10.0.0.7,central').at(-1)?.hosts).toEqual(['10.0.0.7', 'central']);
  expect(
    named('other=10.0.0.7')
      .map(({ name }) => name)
      .slice(-2),
  ).toEqual(['kernel.other', 'kernel.central']);
});

it.each(['10.0.0.7', 'scada-1.plant', 'A', 'fd00::5', '::1', '::ffff:10.0.0.7'])(
  '%s is an address',
  (host) => {
    expect(addNamedKernel(`KC=${host}`, [])).toEqual([{ name: 'KC', hosts: [host] }]);
  },
);
