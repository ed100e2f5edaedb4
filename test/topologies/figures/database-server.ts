import { sleep } from '../../integration/support/until.ts';
import { databasePlace, startDatabase } from '../database.ts';
import { type Figure, PLANT } from '../figure.ts';

/** The archive is in a database on a server of its own. */
export const databaseServer: Figure = {
  number: 7,
  title: 'one database server',
  folder: '7-database-server',
  network: {
    networks: { office: '10.17.1', technology: '10.17.2', database: '10.17.3' },
    hosts: {
      ServerApp1: { at: { office: 11, database: 11 }, opens: [3119] },
      ServerKom1: { at: { office: 21, technology: 21 }, opens: [] },
      ServerDb1: { at: { database: 31 }, opens: [5432] },
      [PLANT]: { at: { technology: 5 } },
    },
  },
  kernels: { ServerApp1: { file: 'kernel.json', addresses: ['10.17.1.11'] } },
  complete: ['ServerApp1'],
  needsDatabase: true,
  async story(stage) {
    const { network } = stage;
    const database = stage.use(await startDatabase(databasePlace(network, 'ServerDb1', '10.17.3.31')));
    await stage.startPlant();
    await stage.startKernel('ServerApp1');
    await stage.startAgent('ServerKom1');
    await stage.untilOnline('ServerKom1');
    await database.kill('SIGKILL');
    await sleep(4000);
    await database.restart();
    await stage.untilOnline('ServerKom1');
    if (network.isReal) {
      network.cable('ServerDb1', 'database', 'down');
      await sleep(6000);
      network.cable('ServerDb1', 'database', 'up');
    }
    await stage.kill('ServerApp1', 'kernel');
    await stage.startKernel('ServerApp1');
    await stage.untilOnline('ServerKom1');
    return 'database killed, its cable pulled, Kernel killed';
  },
};
