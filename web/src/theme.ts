/** Light or dark: as the system says, or as somebody chose. */
import { effect, signal } from '@preact/signals';
import { keep, kept } from './kept';

export type Theme = 'system' | 'light' | 'dark';

export const theme = signal<Theme>(kept('theme', ['light', 'dark']) ?? 'system');

effect(() => {
  keep('theme', theme.value === 'system' ? null : theme.value);
  document.documentElement.dataset['theme'] = theme.value;
});
