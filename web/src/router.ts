/** The address is the state: what is shown can be sent to somebody, and the way back works. */
import { computed, signal } from '@preact/signals';

const base = new URL(document.baseURI).pathname;

function read(): { path: string; search: string } {
  const path = location.pathname.startsWith(base) ? location.pathname.slice(base.length) : '';
  return { path: path.replace(/\/+$/, ''), search: location.search };
}

const place = signal(read());

/** The way below the console's own address, without slashes at its ends, such as `alerts/al_…`. */
export const path = computed(() => place.value.path);
/** What the address asks for behind the question mark. */
export const query = computed(() => new URLSearchParams(place.value.search));

/** The address of a page, to link to. */
export function href(to: string, params?: URLSearchParams | Record<string, string>): string {
  const search = new URLSearchParams(params).toString();
  return base + to + (search ? `?${search}` : '');
}

/** Go somewhere; with `replace` the way back does not lead here. */
export function navigate(
  to: string,
  { params, replace = false }: { params?: URLSearchParams | Record<string, string>; replace?: boolean } = {},
): void {
  const target = href(to, params);
  if (target === location.pathname + location.search) return;
  if (replace) history.replaceState(null, '', target);
  else history.pushState(null, '', target);
  place.value = read();
}

/** Have links and the browser's buttons work without loading anything anew. */
export function startRouter(): void {
  // With the base that the server wrote, an address elsewhere in the console would be resolved against itself.
  addEventListener('popstate', () => {
    place.value = read();
  });
  document.addEventListener('click', event => {
    const link = (event.target as Element | null)?.closest?.('a[href]') as HTMLAnchorElement | null;
    if (!link || event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || link.target) return;
    if (link.origin !== location.origin || !link.pathname.startsWith(base) || link.hasAttribute('download'))
      return;
    const inside = link.pathname.slice(base.length);
    // What other parts of the service answer.
    if (/^(graphi?ql|api|metrics|livez|readyz|calendars)(\/|$)/.test(inside)) return;
    event.preventDefault();
    navigate(inside, { params: new URLSearchParams(link.search) });
  });
}
