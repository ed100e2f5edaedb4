import { sleep } from '../../integration/support/until.ts';
import { type Figure, PLANT } from '../figure.ts';

/** Kernel, archive and communication process on one machine. */
export const singleNode: Figure = {
  number: 1,
  title: 'single node',
  folder: '1-single-node',
  network: {
    networks: { technology: '10.11.1' },
    hosts: { ServerApp1: { at: { technology: 11 }, opens: [] }, [PLANT]: { at: { technology: 5 } } },
  },
  kernels: { ServerApp1: { file: 'kernel.json', addresses: ['127.0.0.1'] } },
  complete: ['ServerApp1'],
  isQuick: true,
  async story(stage) {
    await stage.startPlant();
    await stage.startKernel('ServerApp1');
    await stage.startAgent('ServerApp1');
    await stage.untilOnline('ServerApp1');
    await stage.kill('ServerApp1', 'kernel');
    await sleep(3000);
    await stage.kill('ServerApp1', 'agent');
    await stage.startAgent('ServerApp1');
    await sleep(2000);
    await stage.startKernel('ServerApp1');
    await stage.untilOnline('ServerApp1');
    return 'Kernel killed for 5 s, agent killed meanwhile';
  },
};
