import { useState } from 'preact/hooks';
import { Viewer } from '../../api/documents';
import { ApiError, ask } from '../../api/transport';
import mark from '../../mark.svg';
import { Field } from '../../parts/field';
import { endedBecause, key, signIn, signOut, viewer } from '../../session';
import { words } from '../../words';
import { common } from '../../words/common';
import './sign-in.css';

const w = words({
  en: {
    title: 'Sign in',
    key: 'API key',
    hint: 'It begins with ag_ and stays in this tab alone.',
    button: 'Sign in',
    refused: 'That key is not valid, or not any more.',
    role: 'That key may only send alerts. The console needs one with the role VIEWER or higher.',
  },
  de: {
    title: 'Anmelden',
    key: 'API-Schlüssel',
    hint: 'Er beginnt mit ag_ und bleibt nur in diesem Tab.',
    button: 'Anmelden',
    refused: 'Dieser Schlüssel gilt nicht, oder nicht mehr.',
    role: 'Dieser Schlüssel darf nur Alarme senden. Die Konsole braucht einen mit der Rolle VIEWER oder höher.',
  },
});

/** Ask for a key. */
export function SignIn() {
  const [given, setGiven] = useState('');
  const [error, setError] = useState<string | null>(null);
  const [isAsking, setAsking] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (!given.trim()) return;
    setAsking(true);
    setError(null);
    signIn(given.trim());
    try {
      const answer = await ask(Viewer, {});
      if (answer.viewer.role === 'INGEST') {
        signOut();
        setError(w().role);
      } else viewer.value = answer.viewer;
    } catch (problem) {
      signOut();
      const code = problem instanceof ApiError ? problem.code : '';
      setError(
        code === 'UNAUTHENTICATED'
          ? w().refused
          : code === 'OFFLINE'
            ? common().offline
            : String((problem as Error).message),
      );
    } finally {
      setAsking(false);
    }
  };
  const told = error ?? (endedBecause.value === 'refused' && key.value === null ? w().refused : null);
  return (
    <main class="sign-in">
      <form class="sheet stack" onSubmit={submit} aria-labelledby="sign-in-title">
        <div class="row">
          <img src={mark} width="32" height="32" alt="" />
          <h1 id="sign-in-title">alertgraph · {w().title}</h1>
        </div>
        <Field label={w().key} hint={w().hint} error={told}>
          <input
            class="input mono"
            type="password"
            autocomplete="off"
            spellcheck={false}
            autofocus
            value={given}
            onInput={event => setGiven(event.currentTarget.value)}
          />
        </Field>
        <button type="submit" class="button first" disabled={isAsking}>
          {w().button}
        </button>
      </form>
    </main>
  );
}
