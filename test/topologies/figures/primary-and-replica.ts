import { sleep } from '../../integration/support/until.ts';
import { databasePlace, startReplica, startSecuredDatabase } from '../database.ts';
import { type Figure, PLANT } from '../figure.ts';

/** The archive is in a primary with a replica at a second site, promoted by hand; each has a Kernel. */
export const primaryAndReplica: Figure = {
  number: 9,
  title: 'primary and replica at two sites, switched by hand',
  folder: '9-primary-and-replica',
  network: {
    networks: { office: '10.19.1', technology: '10.19.2', database: '10.19.3' },
    hosts: {
      ServerApp1: { at: { office: 11, database: 11 }, opens: [3119] },
      ServerApp2: { at: { office: 12, database: 12 }, opens: [3119] },
      ServerKom1: { at: { office: 21, technology: 21 }, opens: [] },
      ServerDb1: { at: { database: 31 }, opens: [5432] },
      ServerDb2: { at: { database: 32 }, opens: [5432], bitsPerS: 10_000_000 },
      [PLANT]: { at: { technology: 5 } },
    },
  },
  kernels: {
    ServerApp1: { file: 'kernel-1.json', addresses: ['10.19.1.11'] },
    ServerApp2: { file: 'kernel-2.json', addresses: ['10.19.1.12'] },
  },
  complete: ['ServerApp1', 'ServerApp2'],
  needsDatabase: true,
  async story(stage) {
    const { network } = stage;
    const [first, second] = ['10.19.3.31', '10.19.3.32'];
    const certificate = await stage.databaseCertificate(first, second);
    const at = databasePlace(network, 'ServerDb1', first);
    const primary = stage.use(await startSecuredDatabase(at, certificate));
    const place = databasePlace(network, 'ServerDb2', second);
    const replica = stage.use(await startReplica(primary, place, network.placed(first)));
    await stage.startPlant();
    // The first one at the database is hot.
    await stage.startKernel('ServerApp1');
    await stage.untilHot('ServerApp1');
    await stage.startKernel('ServerApp2');
    await stage.startAgent('ServerKom1');
    await stage.untilOnline('ServerKom1');
    await sleep(2000);
    // The first site is gone; for some time nobody decides anything.
    if (network.isReal) {
      network.cable('ServerDb1', 'database', 'down');
      for (const cable of ['office', 'database']) network.cable('ServerApp1', cable, 'down');
    } else {
      await primary.kill('SIGKILL');
      await stage.kill('ServerApp1', 'kernel');
    }
    await sleep(5000);
    replica.promote();
    await stage.untilHot('ServerApp2');
    await stage.untilOnline('ServerKom1');
    // Its server is there again; the former primary has to be made anew before it may be.
    if (network.isReal) {
      for (const cable of ['office', 'database']) network.cable('ServerApp1', cable, 'up');
    } else await stage.startKernel('ServerApp1');
    await stage.untilStandby('ServerApp1');
    return 'site of the primary and of the hot Kernel cut off, replica promoted after 5 s';
  },
};
