/**
 * `flags` of an archived sample: kind and cause as in a block (`EntryKind`, `ENTRY_CAUSE_SHIFT`), then what
 * is here.
 */

/** In `flags`: kind and cause are as in a block; this bit says that the device gave the source time. */
export const FLAGS_DEVICE_TIMED = 0x40;

/** In `flags`: the marks are above. */
export const FLAGS_MARKS_SHIFT = 8;

/** Of the cause in `flags`, once it is shifted down. */
export const CAUSE_MASK = 0x07;
