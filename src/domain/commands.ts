/**
 * What an operator may ask of an agent. None of it writes to a device. `repair` is `replay` with the Kernel
 * replacing what it has.
 */
export const COMMAND_NAMES = [
  'status',
  'depth',
  'replay',
  'repair',
  'send-mode',
  'release',
  'drop-backlog',
  'station',
  'switch',
  'prefer',
  'exercise',
] as const;
export type CommandName = (typeof COMMAND_NAMES)[number];

/** Without a word in the site file: what looks, and what only sends again what the Kernel trims. */
export const COMMANDS_ALLOWED_BY_DEFAULT: readonly CommandName[] = [
  'status',
  'depth',
  'replay',
  'switch',
  'prefer',
  'exercise',
];
