import { expect, it } from 'vitest';
import { loadKernelConfig, loadSite, resolveKernelConfig, resolveSite } from './load.ts';

const site = (uplink: object, more: object = {}): object => ({
  site: 'S',
  kernels: [],
  servers: { A: { instance: 1 }, B: { instance: 2 } },
  processes: { KomA: { uplink, lines: {} } },
  ...more,
});
const load = (raw: object) => resolveSite(raw, { directory: '/etc/kom' }).site.processes[0]?.uplink;

it('the examples of a reverse connection load', async () => {
  const { site: loaded, problems } = await loadSite('examples/site-dmz.json');
  expect(problems).toEqual([]);
  const address = { host: '192.168.50.11', port: 3119 };
  expect(loaded.processes[0]?.uplink.listen).toMatchObject({ address, allowFrom: ['10.20.0.0/24'] });
  const kernel = await loadKernelConfig('examples/kernel-dmz.json');
  expect(kernel.problems).toEqual([]);
  expect(kernel.config.agents).toMatchObject([{ site: 'Waterworks', process: 'KomA', retryMs: 2000 }]);
});

it('radio is patient, and what is given counts', () => {
  expect(load(site({}))).toMatchObject({ heartbeatMs: 400, silenceMaxMs: 1200, connectTimeoutMs: 5000 });
  expect(load(site({ link: 'radio', heartbeat: '1s' }))).toMatchObject({
    ...{ heartbeatMs: 1000, silenceMaxMs: 10_000, connectTimeoutMs: 20_000 },
  });
  expect(load(site({ minRate: '2KB/s', maxRate: '8KB/s' }))).toMatchObject({
    ...{ minBytesPerS: 2000, maxBytesPerS: 8000 },
  });
  expect(load(site({}))?.maxBytesPerS).toBe(Number.POSITIVE_INFINITY);
});

it('tells what is wrong with a listener and with rates', () => {
  const listen = (more: object) => () => load(site({ listen: { address: '127.0.0.1:1', ...more } }));
  expect(listen({ allowFrom: ['10.0.0.0/40'] })).toThrow('allowFrom');
  expect(listen({ servers: { C: '127.0.0.1:1' } })).toThrow('no server is called "C"');
  expect(listen({ address: '10.0.0.1:1' })).toThrow('insecure');
  expect(() => load(site({ minRate: '9KB/s', maxRate: '8KB/s' }))).toThrow('more than maxRate');
  expect(() => load(site({ heartbeat: '1s' }))).toThrow('one late heartbeat');
  const own = { uplink: { listen: { address: '127.0.0.1:1' } }, lines: {} };
  expect(() => load(site({}, { processes: { KomA: own, KomB: own } }))).toThrow('a port of its own');
});

it('a Kernel may dial only where the file says that it is safe', () => {
  const agents = [{ site: 'S', process: 'KomA', addresses: ['10.0.0.1'] }];
  expect(() => resolveKernelConfig({ agents }, { directory: '/' })).toThrow('"insecure": true');
});
