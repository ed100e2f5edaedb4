import { sleep } from '../../integration/support/until.ts';
import { type Figure, PLANT } from '../figure.ts';

/** The process runs in the technology network; of the office one port is open to it; the ring is on. */
export const technologyNetwork: Figure = {
  number: 5,
  title: 'process in the technology network, port 3119 open',
  folder: '5-technology-network',
  network: {
    networks: { office: '10.15.1', technology: '10.15.2' },
    hosts: {
      ServerApp1: { at: { office: 11 }, opens: [3119] },
      ServerKom1: { at: { office: 21, technology: 21 }, opens: [] },
      [PLANT]: { at: { technology: 5 } },
    },
  },
  kernels: { ServerApp1: { file: 'kernel.json', addresses: ['10.15.1.11'] } },
  complete: ['ServerApp1'],
  isQuick: true,
  async story(stage) {
    await stage.startPlant();
    // No Kernel was ever seen.
    await stage.startAgent('ServerKom1');
    await sleep(2000);
    await stage.startKernel('ServerApp1');
    await stage.untilOnline('ServerKom1');
    if (stage.network.isReal) stage.network.cable('ServerKom1', 'office', 'down');
    else await stage.kill('ServerApp1', 'kernel');
    await stage.untilStatus('outage', 'ServerKom1', ({ backlog }) => backlog.state === 'outage');
    await sleep(2000);
    // The power goes in an outage: with the ring always on the disk nothing of it is lost.
    await stage.kill('ServerKom1', 'agent');
    await stage.startAgent('ServerKom1');
    await sleep(2000);
    if (stage.network.isReal) stage.network.cable('ServerKom1', 'office', 'up');
    else await stage.startKernel('ServerApp1');
    await stage.untilOnline('ServerKom1');
    const outage = stage.network.isReal ? 'cable pulled' : 'Kernel killed';
    return `started without a Kernel; ${outage}, and the agent killed in that outage`;
  },
};
