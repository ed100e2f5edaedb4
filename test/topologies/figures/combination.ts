import { sleep } from '../../integration/support/until.ts';
import { databasePlace, startDatabase } from '../database.ts';
import { type Figure, PLANT } from '../figure.ts';

const KERNELS = {
  ServerApp1: { file: 'kernel-1.json', addresses: ['10.20.1.11'] },
  ServerApp2: { file: 'kernel-2.json', addresses: ['10.20.1.12'] },
};

/** Two comm servers, two Kernels, each with a database on a server of its own. */
export const combination: Figure = {
  number: 10,
  title: 'the combination',
  folder: '10-combination',
  network: {
    networks: { office: '10.20.1', technology: '10.20.2', database: '10.20.3' },
    hosts: {
      ServerApp1: { at: { office: 11, database: 11 }, opens: [3119] },
      ServerApp2: { at: { office: 12, database: 12 }, opens: [3119] },
      ServerKom1: { at: { office: 21, technology: 21 }, opens: [3120] },
      ServerKom2: { at: { office: 22, technology: 22 }, opens: [3120] },
      ServerDb1: { at: { database: 31 }, opens: [5432] },
      ServerDb2: { at: { database: 32 }, opens: [5432] },
      [PLANT]: { at: { technology: 5 } },
    },
  },
  kernels: KERNELS,
  complete: ['ServerApp1', 'ServerApp2'],
  needsDatabase: true,
  async story(stage) {
    const { network } = stage;
    const database = stage.use(await startDatabase(databasePlace(network, 'ServerDb1', '10.20.3.31')));
    stage.use(await startDatabase(databasePlace(network, 'ServerDb2', '10.20.3.32')));
    await stage.startPlant();
    await Promise.all(Object.keys(KERNELS).map((host) => stage.startKernel(host)));
    await Promise.all(['ServerKom1', 'ServerKom2'].map((server) => stage.startAgent(server)));
    await stage.untilRole('ServerKom1', 'KomA', 'active');
    await stage.untilInSync('ServerApp1');
    await sleep(2000);
    // The hot Kernel has no database any more: agents wait, and somebody moves them to the other one.
    await database.kill('SIGKILL');
    await sleep(3000);
    await stage.kill('ServerApp1', 'kernel');
    await stage.switchKernel('ServerApp2', 'ServerApp2', '--force');
    await sleep(2000);
    await stage.kill('ServerKom1', 'agent');
    await stage.untilRole('ServerKom2', 'KomA', 'active');
    await sleep(2000);
    await database.restart();
    await stage.startKernel('ServerApp1');
    await stage.startAgent('ServerKom1');
    await stage.untilInSync('ServerApp2');
    return 'database, then its Kernel, then a comm server killed, and all back';
  },
};
