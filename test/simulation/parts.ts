import { TAGS } from './plant.ts';

/** The stores of an agent: all tags, or, where alarms have a store of their own, all others. */
export type Part = 'main' | 'alarms';

/** Of the tags of a station this one is an alarm. */
export const ALARM_TAG = 'running' satisfies (typeof TAGS)[number];

/** The stores that an agent has with this share for alarms. */
export function partsOf(alarmShare: number): readonly Part[] {
  return alarmShare === 0 ? ['main'] : ['main', 'alarms'];
}

/** The store of a tag, by its index in the site. */
export function partOfTag(tagIndex: number, alarmShare: number): Part {
  const isAlarm = TAGS[tagIndex % TAGS.length] === ALARM_TAG;
  return alarmShare > 0 && isAlarm ? 'alarms' : 'main';
}

/** Share of the buffer that belongs to a store. */
export function shareOf(part: Part, alarmShare: number): number {
  return part === 'alarms' ? alarmShare : 1 - alarmShare;
}
