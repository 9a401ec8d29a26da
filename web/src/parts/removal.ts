/** Deletes a configured thing, after asking. */
import type { ProblemAt } from '../api/transport';
import { complain, say } from './toast';

/**
 * Ask, delete, and say what came of it.
 *
 * @param question What is asked first.
 * @param done What is said once it is gone.
 * @param send Returns the payload's `errors`.
 */
export async function removed(
  question: string,
  done: string,
  send: () => Promise<readonly ProblemAt[]>,
): Promise<void> {
  if (!confirm(question)) return;
  try {
    const [problem] = await send();
    if (problem) complain(problem.message);
    else say(done);
  } catch (error) {
    complain(error instanceof Error ? error.message : String(error));
  }
}
