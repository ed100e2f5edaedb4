/** Exit codes of every subcommand; `kom --help` prints this list. */
export const ExitCode = {
  ok: 0,
  /** The command ran and the answer is "no": a proof that failed, a check that found damage. */
  failed: 1,
  /** The command line or a configuration file is not usable. */
  usage: 2,
  /** It was done, and whom it concerns has not said so. */
  unconfirmed: 3,
  /** Something outside is not there, or is taken: no running agent, a used port or directory. */
  unavailable: 69,
  /** A bug of ours. */
  internal: 70,
} as const;
