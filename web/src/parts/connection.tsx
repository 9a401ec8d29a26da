import { connection } from '../api/socket';
import { words } from '../words';
import './connection.css';

const w = words({
  en: {
    connecting: 'Connecting',
    live: 'Live',
    'catching-up': 'Catching up',
    offline: 'Offline: what you see may be old',
    brief: 'Offline',
  },
  de: {
    connecting: 'Wird verbunden',
    live: 'Live',
    'catching-up': 'Holt auf',
    offline: 'Getrennt: was du siehst, kann alt sein',
    brief: 'Getrennt',
  },
});

/** How the stream of events stands. Always in sight: a page that stands still must not look like a quiet night. */
export function ConnectionState() {
  const state = connection.value;
  return (
    <span class={`connection ${state}`} role="status" data-connection={state}>
      <span class="connection-dot" aria-hidden="true" />
      {state === 'offline' ? w().brief : w()[state]}
    </span>
  );
}

/** Said across the page while it is cut off. */
export function OfflineBanner() {
  if (connection.value !== 'offline') return null;
  return (
    <p class="offline-banner" role="alert">
      {w().offline}
    </p>
  );
}
