/** Overrides made and taken back, each of which can be undone. */
import { ask, type ProblemAt } from '../../api/transport';
import { complain } from '../../parts/toast';
import { DeleteShiftOverride, OverrideShift, type OverrideShiftMutationVariables } from './documents';

type Wanted = OverrideShiftMutationVariables['input'];

/** Put somebody on call for a while; return the override's id, or what is wrong with what was asked for. */
export async function makeOverride(
  input: Wanted,
): Promise<{ id: string | null; problems: readonly ProblemAt[] }> {
  const { overrideShift } = await ask(OverrideShift, { input });
  return { id: overrideShift.override?.id ?? null, problems: overrideShift.errors.map(plain) };
}

/** Take an override back; return what is wrong with that. */
export async function deleteOverride(id: string): Promise<readonly ProblemAt[]> {
  const { deleteShiftOverride } = await ask(DeleteShiftOverride, { input: { id } });
  return deleteShiftOverride.errors.map(plain);
}

/** Do something that stands in no form, and say what was wrong; return whether it was done. */
export async function attempted(work: () => Promise<readonly ProblemAt[]>): Promise<boolean> {
  try {
    const [problem] = await work();
    if (problem) complain(problem.message);
    return !problem;
  } catch (error) {
    complain(error instanceof Error ? error.message : String(error));
    return false;
  }
}

function plain(problem: { code: string; message: string; path?: readonly string[] | null }): ProblemAt {
  return { code: problem.code, message: problem.message, path: problem.path ?? null };
}
