/** Whose key is used: it is kept for this tab alone, in the place where the console keeps it, too. */

const PLACE = 'alertgraph.key';
const PREFIX = '#key=';

/** Return the key that the address brought, once, or that the tab has kept; null where there is none. */
export function restoredKey(): string | null {
  if (location.hash.startsWith(PREFIX)) {
    const given = decodeURIComponent(location.hash.slice(PREFIX.length)).trim();
    // Before anything else: it must stand neither in the history nor in what somebody copies.
    history.replaceState(null, '', location.pathname + location.search);
    if (given) sessionStorage.setItem(PLACE, given);
  }
  return sessionStorage.getItem(PLACE);
}

export function keepKey(key: string | null): void {
  if (key === null) sessionStorage.removeItem(PLACE);
  else sessionStorage.setItem(PLACE, key);
}
