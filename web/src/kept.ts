/** What somebody chose for this browser. Where nothing can be kept, it lasts as long as the page. */

export function kept<const T extends string>(name: string, allowed: readonly T[]): T | null {
  try {
    const found = localStorage.getItem(`alertgraph.${name}`) as T | null;
    return found !== null && allowed.includes(found) ? found : null;
  } catch {
    return null;
  }
}

export function keep(name: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(`alertgraph.${name}`);
    else localStorage.setItem(`alertgraph.${name}`, value);
  } catch {
    // It is asked for again next time.
  }
}
