/** Every word that is seen: in English and German, chosen by the system or by hand. */
import { computed, effect, signal } from '@preact/signals';
import { keep, kept } from '../kept';

export type Language = 'en' | 'de';

export const languages: Readonly<Record<Language, string>> = { en: 'English', de: 'Deutsch' };

function ofSystem(): Language {
  return navigator.language.toLowerCase().startsWith('de') ? 'de' : 'en';
}

/** What was chosen by hand; null for the system's. */
export const chosenLanguage = signal<Language | null>(kept('language', ['en', 'de']));
/** What is spoken. */
export const language = computed<Language>(() => chosenLanguage.value ?? ofSystem());

effect(() => {
  keep('language', chosenLanguage.value);
  document.documentElement.lang = language.value;
});

type Widened<T> = T extends string
  ? string
  : T extends (...args: infer A) => string
    ? (...args: A) => string
    : { readonly [K in keyof T]: Widened<T[K]> };

/**
 * Return what gives the words in the language spoken: `const w = words({ en: {…}, de: {…} })`, then `w().title`.
 * German has to have every word that English has.
 */
export function words<const T>(catalogue: { en: T; de: NoInfer<Widened<T>> }): () => Widened<T> {
  return () => (language.value === 'de' ? catalogue.de : (catalogue.en as Widened<T>));
}
