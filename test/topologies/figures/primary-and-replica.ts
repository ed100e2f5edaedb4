import { sleep } from '../../integration/support/until.ts';
import { databasePlace, startDatabase, startReplica } from '../database.ts';
import { type Figure, PLANT } from '../figure.ts';

/** The archive is in a primary with a replica at a second site, which somebody promotes. */
export const primaryAndReplica: Figure = {
  number: 9,
  title: 'primary and replica at two sites, switched by hand',
  folder: '9-primary-and-replica',
  network: {
    networks: { office: '10.19.1', technology: '10.19.2', database: '10.19.3' },
    hosts: {
      ServerApp1: { at: { office: 11, database: 11 }, opens: [3119] },
      ServerKom1: { at: { office: 21, technology: 21 }, opens: [] },
      ServerDb1: { at: { database: 31 }, opens: [5432] },
      ServerDb2: { at: { database: 32 }, opens: [5432], bitsPerS: 10_000_000 },
      [PLANT]: { at: { technology: 5 } },
    },
  },
  kernels: { ServerApp1: { file: 'kernel.json', addresses: ['10.19.1.11'] } },
  complete: ['ServerApp1'],
  needsDatabase: true,
  async story(stage) {
    const { network } = stage;
    const [first, second] = ['10.19.3.31', '10.19.3.32'];
    const primary = stage.use(await startDatabase(databasePlace(network, 'ServerDb1', first)));
    const place = databasePlace(network, 'ServerDb2', second);
    const replica = stage.use(await startReplica(primary, place, network.placed(first)));
    await stage.startPlant();
    await stage.startKernel('ServerApp1');
    await stage.startAgent('ServerKom1');
    await stage.untilOnline('ServerKom1');
    await sleep(2000);
    // The first site is gone; for some time nobody decides anything.
    if (network.isReal) network.cable('ServerDb1', 'database', 'down');
    else await primary.kill('SIGKILL');
    await sleep(5000);
    replica.promote();
    await stage.untilOnline('ServerKom1');
    return 'site of the primary cut off, replica promoted after 5 s';
  },
};
