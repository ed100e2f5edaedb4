import { sleep } from '../../integration/support/until.ts';
import { type Figure, PLANT } from '../figure.ts';

const KERNELS = {
  ServerApp1: { file: 'kernel-1.json', addresses: ['10.13.1.11'] },
  ServerApp2: { file: 'kernel-2.json', addresses: ['10.13.1.12'] },
  ServerApp3: { file: 'kernel-3.json', addresses: ['10.13.1.13'] },
};

/** Three Kernels, each with its own archive; the third one at a second site behind a slow link. */
export const threeNodes: Figure = {
  number: 3,
  title: 'three nodes, the third one behind a slow link',
  folder: '3-three-nodes',
  network: {
    networks: { office: '10.13.1', technology: '10.13.2' },
    hosts: {
      ServerApp1: { at: { office: 11 }, opens: [3119] },
      ServerApp2: { at: { office: 12 }, opens: [3119] },
      ServerApp3: { at: { office: 13 }, opens: [3119], bitsPerS: 128_000 },
      ServerKom1: { at: { office: 21, technology: 21 }, opens: [] },
      [PLANT]: { at: { technology: 5 } },
    },
  },
  kernels: KERNELS,
  complete: ['ServerApp1', 'ServerApp2', 'ServerApp3'],
  async story(stage) {
    await stage.startPlant();
    await Promise.all(Object.keys(KERNELS).map((host) => stage.startKernel(host)));
    await stage.startAgent('ServerKom1');
    await stage.untilInSync('ServerApp1');
    if (stage.network.isReal) stage.network.cable('ServerApp3', 'office', 'down');
    else await stage.kill('ServerApp3', 'kernel');
    // Until it has left the in-sync set nothing is acknowledged, and nobody is made hot.
    await stage.untilInSync('ServerApp1', 2);
    await sleep(2000);
    await stage.switchKernel('ServerApp1', 'ServerApp2');
    await sleep(2000);
    await stage.kill('ServerApp1', 'kernel');
    if (stage.network.isReal) stage.network.cable('ServerApp3', 'office', 'up');
    else await stage.startKernel('ServerApp3');
    await sleep(3000);
    await stage.startKernel('ServerApp1');
    await stage.untilInSync('ServerApp2');
    await stage.untilOnline('ServerKom1');
    return 'the second site cut off, hot moved to ServerApp2, ServerApp1 killed, all back';
  },
};
