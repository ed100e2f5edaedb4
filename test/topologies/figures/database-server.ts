import { sleep } from '../../integration/support/until.ts';
import { databasePlace, startSecuredDatabase } from '../database.ts';
import { type Figure, PLANT } from '../figure.ts';
import type { Stage } from '../stage.ts';

/** A Kernel whose server vanishes is replaced within this time. */
const TAKEOVER_MAX_MS = 10_000;

/** The archive is in a database on a server of its own, which two Kernels share. */
export const databaseServer: Figure = {
  number: 7,
  title: 'one database server',
  folder: '7-database-server',
  network: {
    networks: { office: '10.17.1', technology: '10.17.2', database: '10.17.3' },
    hosts: {
      ServerApp1: { at: { office: 11, database: 11 }, opens: [3119] },
      ServerApp2: { at: { office: 12, database: 12 }, opens: [3119] },
      ServerKom1: { at: { office: 21, technology: 21 }, opens: [] },
      ServerDb1: { at: { database: 31 }, opens: [5432] },
      [PLANT]: { at: { technology: 5 } },
    },
  },
  kernels: {
    ServerApp1: { file: 'kernel-1.json', addresses: ['10.17.1.11'] },
    ServerApp2: { file: 'kernel-2.json', addresses: ['10.17.1.12'] },
  },
  complete: ['ServerApp1', 'ServerApp2'],
  needsDatabase: true,
  async story(stage) {
    const { network } = stage;
    const address = '10.17.3.31';
    const certificate = await stage.databaseCertificate(address);
    const place = databasePlace(network, 'ServerDb1', address);
    const database = stage.use(await startSecuredDatabase(place, certificate));
    await stage.startPlant();
    // The first one at the database is hot.
    await stage.startKernel('ServerApp1');
    await stage.untilHot('ServerApp1');
    await stage.startKernel('ServerApp2');
    await stage.startAgent('ServerKom1');
    await stage.untilOnline('ServerKom1');
    await database.kill('SIGKILL');
    await sleep(4000);
    await database.restart();
    await stage.untilHot('ServerApp1');
    await stage.untilOnline('ServerKom1');
    if (network.isReal) {
      network.cable('ServerDb1', 'database', 'down');
      await sleep(6000);
      network.cable('ServerDb1', 'database', 'up');
      await stage.untilHot('ServerApp1');
      await stage.untilOnline('ServerKom1');
    }
    const lostMs = performance.now();
    await loseFirst(stage);
    await stage.untilHot('ServerApp2');
    const tookMs = performance.now() - lostMs;
    if (tookMs > TAKEOVER_MAX_MS) throw new Error(`ServerApp2 was hot after ${tookMs} ms`);
    const tookS = (tookMs / 1000).toFixed(1);
    await stage.untilOnline('ServerKom1');
    await sleep(1000);
    await bringBackFirst(stage);
    await stage.untilStandby('ServerApp1');
    const pulled = network.isReal ? ', its cable pulled' : '';
    return `database killed${pulled}; server of the hot Kernel lost, the other one hot in ${tookS} s`;
  },
};

/** A server that vanishes says nothing to anybody. Where there are no cables it is killed. */
async function loseFirst(stage: Stage): Promise<void> {
  const { network } = stage;
  if (!network.isReal) return await stage.kill('ServerApp1', 'kernel');
  for (const cable of ['office', 'database']) network.cable('ServerApp1', cable, 'down');
}

async function bringBackFirst(stage: Stage): Promise<void> {
  const { network } = stage;
  if (!network.isReal) return await stage.startKernel('ServerApp1');
  for (const cable of ['office', 'database']) network.cable('ServerApp1', cable, 'up');
}
