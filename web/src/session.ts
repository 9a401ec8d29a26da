/** Who is signed in: an API key, kept for this tab alone. */
import { computed, signal } from '@preact/signals';
import type { ViewerQuery } from './api/documents';

const PLACE = 'alertgraph.key';
const PREFIX = '#key=';

export type Viewer = ViewerQuery['viewer'];
export type Role = Viewer['role'];

const ROLES: readonly Role[] = ['INGEST', 'VIEWER', 'RESPONDER', 'ADMIN'];

/** The key; null while nobody is signed in. */
export const key = signal<string | null>(null);
/** Whom the key stands for; null until the server has said so. */
export const viewer = signal<Viewer | null>(null);
/** Why nobody is signed in any more, where the server ended it. */
export const endedBecause = signal<'refused' | null>(null);

/** Whether the viewer may do what needs a role. */
export function may(role: Role): boolean {
  return viewer.value !== null && ROLES.indexOf(viewer.value.role) >= ROLES.indexOf(role);
}

/** Whether the viewer may act on alerts. */
export const mayAct = computed(() => may('RESPONDER'));

/** Take the key from the address, once, or from what the tab has kept. */
export function restoreSession(): void {
  if (location.hash.startsWith(PREFIX)) {
    const given = decodeURIComponent(location.hash.slice(PREFIX.length)).trim();
    // Before anything else: it must stand neither in the history nor in what somebody copies.
    history.replaceState(null, '', location.pathname + location.search);
    if (given) sessionStorage.setItem(PLACE, given);
  }
  key.value = sessionStorage.getItem(PLACE);
}

export function signIn(given: string): void {
  sessionStorage.setItem(PLACE, given);
  endedBecause.value = null;
  key.value = given;
}

export function signOut(because: 'refused' | null = null): void {
  sessionStorage.removeItem(PLACE);
  endedBecause.value = because;
  viewer.value = null;
  key.value = null;
}
