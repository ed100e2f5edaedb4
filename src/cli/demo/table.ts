import type { Proof } from '../../sim/proof.ts';

/** The proof as a table. */
export function proofTable(proof: Proof): string[] {
  const row = (name: string, count: number): string => `  ${name.padEnd(44)}${String(count).padStart(8)}`;
  return [
    `Proof: what the simulators served against what the archive holds, ${proof.tags} tags`,
    row('values served (changes)', proof.produced),
    row('of them archived, in order', proof.archived),
    row('of them inside a declared gap', proof.declared),
    row('of them answered too late and asked again', proof.superseded),
    row('lost', proof.lost),
    row('doubled', proof.duplicates),
    row('out of order', proof.outOfOrder),
    row('intervals not observed and not declared', proof.undeclaredGaps),
    row('archived and never served', proof.foreign),
    ...proof.findings.map((finding) => `  ! ${finding}`),
    proof.ok ? 'Every sample once and in order, every gap declared.' : 'THE PROOF FAILED.',
  ];
}
