import { sleep } from '../../integration/support/until.ts';
import { databasePlace, startSecuredDatabase } from '../database.ts';
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
    const startDatabase = async (host: string, address: string) => {
      const certificate = await stage.databaseCertificate(address);
      return stage.use(await startSecuredDatabase(databasePlace(network, host, address), certificate));
    };
    const database = await startDatabase('ServerDb1', '10.20.3.31');
    await startDatabase('ServerDb2', '10.20.3.32');
    await stage.startPlant();
    await Promise.all(Object.keys(KERNELS).map((host) => stage.startKernel(host)));
    await stage.startAgent('ServerKom1');
    await stage.untilRole('ServerKom1', 'KomA', 'active');
    // Only now: one that is active before it and after it gives numbers of one stream before and after its.
    await stage.startAgent('ServerKom2');
    await stage.untilInSync('ServerApp1');
    await sleep(2000);
    // Only the database of the hot Kernel is gone: agents wait, and the other one is made hot, orderly.
    await database.kill('SIGKILL');
    await stage.untilAlarm('ServerApp1', 'kernel-archive', '--to ServerApp2');
    await stage.switchKernel('ServerApp1', 'ServerApp2');
    await sleep(2000);
    await stage.kill('ServerKom1', 'agent');
    await stage.untilRole('ServerKom2', 'KomA', 'active');
    await sleep(2000);
    await database.restart();
    await stage.startAgent('ServerKom1');
    await stage.untilInSync('ServerApp2');
    // Now a hot Kernel itself: the other one has everything, and somebody has to say that it is hot.
    await stage.kill('ServerApp2', 'kernel');
    await sleep(2000);
    await stage.switchKernel('ServerApp1', 'ServerApp1', '--force');
    await sleep(2000);
    await stage.startKernel('ServerApp2');
    await stage.untilInSync('ServerApp1');
    return 'database, then a comm server, then the Kernel that is hot killed, and all back';
  },
};
