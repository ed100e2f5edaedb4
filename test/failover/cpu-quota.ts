import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const PERIOD_US = 100_000;
/** Where the CPU controller is: of version 1, or of version 2. */
const ROOTS = ['/sys/fs/cgroup/cpu', '/sys/fs/cgroup'];

/** A control group whose processes together get a part of one CPU. */
export class CpuQuota implements Disposable {
  readonly #path: string;
  readonly #groups: string[] = [];

  private constructor(path: string) {
    this.#path = path;
  }

  /** `null`: this machine has no control groups that may be made here. */
  static find(): CpuQuota | null {
    for (const root of ROOTS) {
      const path = join(root, `kom-test-${process.pid}`);
      try {
        mkdirSync(path);
      } catch {
        continue;
      }
      if (existsSync(join(path, 'cpu.cfs_quota_us')) || existsSync(join(path, 'cpu.max')))
        return new CpuQuota(path);
      rmdirSync(path);
    }
    return null;
  }

  /** Each of these gets so much of a CPU for itself and for all that it starts. */
  limit(pids: readonly number[], share: number): void {
    const group = join(this.#path, String(this.#groups.length));
    mkdirSync(group);
    this.#groups.push(group);
    const quotaUs = Math.round(share * PERIOD_US);
    if (existsSync(join(group, 'cpu.max'))) writeFileSync(join(group, 'cpu.max'), `${quotaUs} ${PERIOD_US}`);
    else {
      writeFileSync(join(group, 'cpu.cfs_period_us'), String(PERIOD_US));
      writeFileSync(join(group, 'cpu.cfs_quota_us'), String(quotaUs));
    }
    for (const pid of pids) writeFileSync(join(group, 'cgroup.procs'), String(pid));
  }

  /** In how many periods the processes had to wait for the next one, for each `limit`. */
  get throttled(): number[] {
    return this.#groups.map((group) => {
      return Number(/nr_throttled (\d+)/.exec(readFileSync(join(group, 'cpu.stat'), 'utf8'))?.[1]);
    });
  }

  /** To be called when the processes have ended. */
  [Symbol.dispose](): void {
    for (const group of this.#groups) rmdirSync(group);
    rmdirSync(this.#path);
  }
}
