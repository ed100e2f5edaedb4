import { sleep } from '../../integration/support/until.ts';
import { type Figure, PLANT } from '../figure.ts';

/** The process runs in a DMZ, opens no connection to the office, and is dialled by the Kernel. */
export const dmz: Figure = {
  number: 4,
  title: 'DMZ, reverse connection',
  folder: '4-dmz',
  network: {
    networks: { dmz: '10.14.1', technology: '10.14.2' },
    hosts: {
      ServerApp1: { at: { dmz: 11 }, opens: [] },
      ServerKom1: { at: { dmz: 21, technology: 21 }, opens: [3119] },
      [PLANT]: { at: { technology: 5 } },
    },
  },
  kernels: { ServerApp1: { file: 'kernel.json', addresses: ['10.14.1.11'] } },
  complete: ['ServerApp1'],
  isQuick: true,
  async story(stage) {
    await stage.startPlant();
    await stage.startAgent('ServerKom1');
    await stage.startKernel('ServerApp1');
    await stage.untilOnline('ServerKom1');
    if (stage.network.isReal) {
      stage.network.cable('ServerKom1', 'dmz', 'down');
      await stage.untilStatus('outage', 'ServerKom1', ({ backlog }) => backlog.state === 'outage');
      await sleep(3000);
      stage.network.cable('ServerKom1', 'dmz', 'up');
      await stage.untilOnline('ServerKom1');
    }
    await stage.kill('ServerApp1', 'kernel');
    await sleep(3000);
    await stage.startKernel('ServerApp1');
    await stage.untilOnline('ServerKom1');
    return stage.network.isReal
      ? 'cable to the DMZ pulled, then Kernel killed for 3 s'
      : 'Kernel killed for 3 s';
  },
};
