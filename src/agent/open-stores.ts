import type { LastClock } from '../buffer/ring.ts';
import { dictionaryOf } from '../config/dictionary.ts';
import type { Process } from '../config/model.ts';
import type { ReportedTag } from '../domain/report-by-exception.ts';
import type { StreamInfo } from '../domain/stream.ts';
import type { Clock } from '../world/clock.ts';
import type { AgentClock } from './agent-clock.ts';
import { ClassStore } from './class-store.ts';
import type { InstanceOptions } from './instance.ts';

/** Share of a store for alarms that a former site file asked for: room enough to give out what it holds. */
const FORMER_ALARM_SHARE = 0.1;

/** A start on a disk that hangs may take as long as it hangs; so much of it is no pause. */
const LONG_START_US = 1_000_000;

/** What opening needs: the clock is the agent's, which starts where the last run ended. */
export interface OpenOptions extends InstanceOptions {
  readonly clock: AgentClock;
}

/** Opens the stores of an instance. @throws KomError KOM_STORE_LOCKED */
export async function openStores(
  options: OpenOptions,
  overloadEnded: () => void,
): Promise<{ main: ClassStore; alarms: ClassStore | null }> {
  const { process, site, disk, alarmDisk } = options;
  const { buffer } = process;
  const dictionary = dictionaryOf(site, process);
  const hasAlarmShare = buffer.alarmShare > 0;
  const isAlarm = (index: number): boolean => hasAlarmShare && dictionary.tags[index]?.class === 'alarm';
  const indexes = dictionary.tags.map((_, index) => index);
  const { clock } = options;
  const startTimeUs = ({ aliveUntilUs, clock: last }: LastClock): number => {
    // Where the alive mark was lost, the time was put together from blocks, and devices may be ahead.
    if (last !== null) clock.begin(aliveUntilUs, last.saved);
    return clock.wallUs();
  };
  const isClockUncertain = (): boolean => !clock.isCertain;
  const hasMirror = options.mirrorDisks !== undefined;
  const common = { ...options, buffer, hasMirror, dictionary, overloadEnded, startTimeUs, isClockUncertain };
  const main = await ClassStore.open({
    ...common,
    disk,
    share: 1 - buffer.alarmShare,
    tagIndexes: indexes.filter((index) => !isAlarm(index)),
  });
  if (alarmDisk === undefined || alarmDisk === null) return { main, alarms: null };
  // A store that the file no longer asks for is opened too, without tags: what it holds must be delivered.
  const share = hasAlarmShare ? buffer.alarmShare : FORMER_ALARM_SHARE;
  const alarms = await ClassStore.open({
    ...common,
    disk: alarmDisk,
    share,
    tagIndexes: indexes.filter(isAlarm),
  });
  return { main, alarms };
}

/**
 * Where no run before is known: since when this one is starting, if that took long; else `null`. A Kernel
 * that knows of one declares the pause up to here.
 */
export function longStartUs({ startedAtUs }: StreamInfo, clock: Clock): number | null {
  return clock.wallUs() - startedAtUs > LONG_START_US ? startedAtUs : null;
}

/** The tags of a process, as report by exception needs them. */
export function tagsOf(process: Process): ReportedTag[] {
  const tags: ReportedTag[] = [];
  for (const line of process.lines) {
    for (const station of line.stations) {
      for (const tag of station.tags) {
        tags[tag.index] = {
          name: tag.name,
          station: station.name,
          class: tag.class,
          deadband: tag.deadband,
          reportAtLeastEveryMs: tag.reportAtLeastEveryMs,
        };
      }
    }
  }
  return tags;
}
