/** What a server has set that decides what a commit is worth. */
export interface DurabilitySettings {
  readonly synchronousCommit: string;
  /** Empty: no standby confirms a commit. */
  readonly standbyNames: string;
  /** `fsync` is on. */
  readonly isSynced: boolean;
}

/** What can be lost of what agents were told is archived. */
export const FAILOVER_FINDING =
  'no standby of the database confirms a commit (synchronous_standby_names is empty): a failover to a ' +
  'replica can lose what agents were told is archived; they send again what they still hold, the rest ' +
  'becomes a gap "kernel-regressed"';

/** What a person should know of the settings of a server, of so many hosts in the Kernel file. */
export function durabilityFindings(settings: DurabilitySettings, hosts: number): string[] {
  const findings: string[] = [];
  if (!settings.isSynced) {
    findings.push(
      'fsync of the database is off: a power cut can destroy the archive, whatever was acknowledged',
    );
  }
  if (settings.standbyNames === '' && hosts > 1) findings.push(FAILOVER_FINDING);
  if (settings.standbyNames !== '' && settings.synchronousCommit === 'remote_write') {
    findings.push(
      'synchronous_commit is remote_write: a commit is in the memory of a standby, not on its disk',
    );
  }
  return findings;
}
