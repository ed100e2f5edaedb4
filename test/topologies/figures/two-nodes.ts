import { sleep } from '../../integration/support/until.ts';
import { type Figure, PLANT } from '../figure.ts';

const KERNELS = {
  ServerApp1: { file: 'kernel-1.json', addresses: ['10.12.1.11'] },
  ServerApp2: { file: 'kernel-2.json', addresses: ['10.12.1.12'] },
};

/** Two application servers, each with a Kernel, its own archive, and an instance of the process. */
export const twoNodes: Figure = {
  number: 2,
  title: 'two nodes, two archives',
  folder: '2-two-nodes',
  network: {
    networks: { office: '10.12.1', technology: '10.12.2' },
    hosts: {
      ServerApp1: { at: { office: 11, technology: 11 }, opens: [3119, 3120] },
      ServerApp2: { at: { office: 12, technology: 12 }, opens: [3119, 3120] },
      [PLANT]: { at: { technology: 5 } },
    },
  },
  kernels: KERNELS,
  complete: ['ServerApp1', 'ServerApp2'],
  isQuick: true,
  async story(stage) {
    await stage.startPlant();
    await Promise.all(Object.keys(KERNELS).map((host) => stage.startKernel(host)));
    await stage.startAgent('ServerApp1');
    await stage.untilRole('ServerApp1', 'KomA', 'active');
    await stage.startAgent('ServerApp2');
    await stage.untilInSync('ServerApp1');
    await sleep(2000);
    // The whole first node is gone.
    await Promise.all([stage.kill('ServerApp1', 'kernel'), stage.kill('ServerApp1', 'agent')]);
    await stage.untilRole('ServerApp2', 'KomA', 'active');
    await sleep(2000);
    await stage.switchKernel('ServerApp2', 'ServerApp2', '--force');
    await sleep(2000);
    await stage.startKernel('ServerApp1');
    await stage.startAgent('ServerApp1');
    await stage.untilInSync('ServerApp2');
    return 'first node lost, the second one made hot, the first one back';
  },
};
