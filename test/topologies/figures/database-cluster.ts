import { sleep } from '../../integration/support/until.ts';
import { databasePlace, startReplica, startSecuredDatabase } from '../database.ts';
import { type Figure, PLANT } from '../figure.ts';

/** The archive is in a cluster behind one address, which moves to the server that takes writes. */
export const databaseCluster: Figure = {
  number: 8,
  title: 'database cluster behind one address',
  folder: '8-database-cluster',
  network: {
    networks: { office: '10.18.1', technology: '10.18.2', database: '10.18.3' },
    hosts: {
      ServerApp1: { at: { office: 11, database: 11 }, opens: [3119] },
      ServerKom1: { at: { office: 21, technology: 21 }, opens: [] },
      ServerDb1: { at: { database: 31 }, opens: [5432] },
      ServerDb2: { at: { database: 32 }, opens: [5432] },
      [PLANT]: { at: { technology: 5 } },
    },
  },
  kernels: { ServerApp1: { file: 'kernel.json', addresses: ['10.18.1.11'] } },
  complete: ['ServerApp1'],
  needsDatabase: true,
  async story(stage) {
    const { network } = stage;
    const shared = 30;
    network.address('ServerDb1', 'database', shared, 'add');
    const place = databasePlace(network, 'ServerDb1', '10.18.3.30');
    const certificate = await stage.databaseCertificate('10.18.3.30', '10.18.3.31', '10.18.3.32');
    const primary = stage.use(await startSecuredDatabase(place, certificate));
    const follower = databasePlace(network, 'ServerDb2', '10.18.3.32');
    const address = network.isReal ? '10.18.3.31' : place.listen;
    const standby = stage.use(await startReplica(primary, follower, address));
    await stage.startPlant();
    await stage.startKernel('ServerApp1');
    await stage.startAgent('ServerKom1');
    await stage.untilOnline('ServerKom1');
    await sleep(2000);
    await primary.kill('SIGKILL');
    network.address('ServerDb1', 'database', shared, 'del');
    await sleep(2000);
    standby.promote();
    network.address('ServerDb2', 'database', shared, 'add');
    if (!network.isReal) await standby.moveTo(place.listen);
    await stage.untilOnline('ServerKom1');
    return 'first server of the cluster killed, the address moved to the second one';
  },
};
