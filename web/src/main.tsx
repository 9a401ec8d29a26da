import { render } from 'preact';
import { useEffect } from 'preact/hooks';
import { Viewer } from './api/documents';
import { hangUp } from './api/socket';
import { ApiError, ask } from './api/transport';
import { startClock } from './clock';
import { startKeys } from './keys';
import { startLive, stopLive } from './live';
import { SignIn } from './pages/sign-in';
import { Shell } from './parts/shell';
import { startRouter } from './router';
import { key, restoreSession, signOut, viewer } from './session';
import './style/base.css';
import './theme';
import './words';

/** Who is signed in is asked again after this long, while the service is away. */
const ASK_AGAIN_MS = 2_000;

function Console() {
  const given = key.value;
  useEffect(() => {
    if (given === null) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const meet = (): void => {
      ask(Viewer, {}).then(
        answer => {
          if (key.value !== given) return;
          if (answer.viewer.role === 'INGEST') signOut('refused');
          else viewer.value = answer.viewer;
        },
        error => {
          if (key.value === given && !(error instanceof ApiError && error.code === 'UNAUTHENTICATED'))
            timer = setTimeout(meet, ASK_AGAIN_MS);
        },
      );
    };
    meet();
    startLive();
    return () => {
      clearTimeout(timer);
      stopLive();
      hangUp();
    };
  }, [given]);
  // The form stays until the key is known to be good, where somebody has just typed it.
  return given === null ? <SignIn /> : <Shell />;
}

restoreSession();
startRouter();
startClock();
startKeys();
render(<Console />, document.getElementById('console')!);
