import { sleep } from '../../integration/support/until.ts';
import { type Figure, PLANT } from '../figure.ts';

const KERNELS = {
  ServerApp1: { file: 'kernel-1.json', addresses: ['10.16.1.11'] },
  ServerApp2: { file: 'kernel-2.json', addresses: ['10.16.1.12'] },
};
const PROCESSES = { KomA: 'ServerKom1', KomB: 'ServerKom2', KomC: 'ServerKom2' };

/** Two comm servers share three processes; two Kernels, each with its own archive. */
export const redundantCommServers: Figure = {
  number: 6,
  title: 'redundant comm servers with KomA, KomB, KomC',
  folder: '6-redundant-comm-servers',
  network: {
    networks: { office: '10.16.1', technology: '10.16.2' },
    hosts: {
      ServerApp1: { at: { office: 11 }, opens: [3119] },
      ServerApp2: { at: { office: 12 }, opens: [3119] },
      ServerKom1: { at: { office: 21, technology: 21 }, opens: [3120] },
      ServerKom2: { at: { office: 22, technology: 22 }, opens: [3120] },
      [PLANT]: { at: { technology: [5, 6, 7] } },
    },
  },
  kernels: KERNELS,
  complete: ['ServerApp1', 'ServerApp2'],
  async story(stage) {
    await stage.startPlant();
    await Promise.all(Object.keys(KERNELS).map((host) => stage.startKernel(host)));
    await Promise.all(['ServerKom1', 'ServerKom2'].map((server) => stage.startAgent(server)));
    for (const [process, server] of Object.entries(PROCESSES))
      await stage.untilRole(server, process, 'active');
    await stage.untilInSync('ServerApp1');
    await sleep(2000);
    // One application server and one comm server, at once.
    await Promise.all([stage.kill('ServerApp1', 'kernel'), stage.kill('ServerKom2', 'agent')]);
    for (const process of ['KomB', 'KomC']) await stage.untilRole('ServerKom1', process, 'active');
    await sleep(3000);
    await stage.switchKernel('ServerApp2', 'ServerApp2', '--force');
    await sleep(2000);
    await stage.startAgent('ServerKom2');
    await stage.startKernel('ServerApp1');
    await stage.untilInSync('ServerApp2');
    return 'an application server and a comm server lost at once, and back';
  },
};
