import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { areKeysOn, type Command, isHelpOpen, isPaletteOpen, switchKeys, useCommands } from '../keys';
import { Help, Palette } from '../keys/palette';
import { w as keyWords } from '../keys/words';
import mark from '../mark.svg';
import { type Page, type PageProps, pages } from '../pages';
import { href, navigate, path } from '../router';
import { may, signOut, viewer } from '../session';
import { type Theme, theme } from '../theme';
import { chosenLanguage, type Language, languages, words } from '../words';
import { common } from '../words/common';
import { ConnectionState, OfflineBanner } from './connection';
import { Dialog } from './dialog';
import { Tick } from './field';
import { Icon } from './icon';
import './shell.css';
import { Missing } from './state';
import { Toasts, undoLast } from './toast';

const w = words({
  en: {
    skip: 'Skip to the content',
    pages: 'Pages',
    go: 'Go to',
    commands: 'Commands',
    settings: 'This browser',
    theme: 'Colours',
    themes: { system: 'As the system', light: 'Light', dark: 'Dark' },
    language: 'Language',
    system: 'As the system',
    signOut: 'Sign out',
    stale: 'The console was updated. Load it anew.',
    reload: 'Load anew',
  },
  de: {
    skip: 'Zum Inhalt',
    pages: 'Seiten',
    go: 'Gehe zu',
    commands: 'Befehle',
    settings: 'Dieser Browser',
    theme: 'Farben',
    themes: { system: 'Wie das System', light: 'Hell', dark: 'Dunkel' },
    language: 'Sprache',
    system: 'Wie das System',
    signOut: 'Abmelden',
    stale: 'Die Konsole ist neuer geworden. Lade sie neu.',
    reload: 'Neu laden',
  },
});

const loaded = new Map<string, ComponentType<PageProps>>();

function goTo(page: Page): void {
  navigate(page.path);
}

/** Everything around a page: navigation, connection, toasts, palette. */
export function Shell() {
  const [isSettingsOpen, setSettingsOpen] = useState(false);
  const [first = '', ...rest] = path.value.split('/');
  const page = pages.find(each => each.path === first);
  const shown = pages.filter(each => each.title && may(each.role ?? 'VIEWER'));
  const general = keyWords().general;
  useCommands([
    ...shown.map<Command>(each => ({
      name: `go.${each.path}`,
      label: each.title!(),
      keys: each.letter ? [`g ${each.letter}`] : [],
      group: w().go,
      run: () => goTo(each),
    })),
    {
      name: 'help',
      label: keyWords().showHelp,
      keys: ['?'],
      group: general,
      run: () => (isHelpOpen.value = true),
    },
    {
      name: 'palette',
      label: keyWords().openPalette,
      keys: ['Ctrl+k'],
      group: general,
      isHidden: true,
      run: () => (isPaletteOpen.value = true),
    },
    {
      name: 'undo',
      label: keyWords().undo,
      keys: ['u'],
      group: general,
      isHidden: true,
      run: () => void undoLast(),
    },
    ...(['system', 'light', 'dark'] as const).map<Command>(each => ({
      name: `theme.${each}`,
      label: w().themes[each],
      keys: [],
      group: w().theme,
      run: () => (theme.value = each),
    })),
    { name: 'settings', label: w().settings, keys: [], group: general, run: () => setSettingsOpen(true) },
    { name: 'sign-out', label: w().signOut, keys: [], group: general, run: () => signOut() },
  ]);
  const active = page?.title ? page.path : first === 'alerts' || first === 'incidents' ? '' : first;
  return (
    <div class="shell">
      <a class="button skip" href="#content">
        {w().skip}
      </a>
      <nav class="shell-side" aria-label={w().pages}>
        <a class="shell-brand" href={href('')}>
          <img src={mark} width="26" height="26" alt="" />
          <span class="shell-word">alertgraph</span>
        </a>
        {shown.map(each => (
          <a
            key={each.path}
            class="shell-link"
            href={href(each.path)}
            aria-current={each.path === active ? 'page' : undefined}
            title={each.title!()}
          >
            {each.icon ? <Icon name={each.icon} /> : null}
            <span class="shell-word">{each.title!()}</span>
          </a>
        ))}
        <div class="shell-foot">
          <button
            type="button"
            class="shell-link"
            title={w().commands}
            onClick={() => (isPaletteOpen.value = true)}
          >
            <Icon name="search" />
            <span class="shell-word">{w().commands}</span>
          </button>
          <button type="button" class="shell-link" title={w().settings} onClick={() => setSettingsOpen(true)}>
            <Icon name="settings" />
            <span class="shell-word">{w().settings}</span>
          </button>
          <p class="shell-who">
            {viewer.value ? `${viewer.value.subject} · ${viewer.value.tenant.name}` : ''}
          </p>
        </div>
      </nav>
      <div class="shell-main">
        <OfflineBanner />
        <header class="shell-top">
          <span class="grow cut soft small">{viewer.value?.tenant.name}</span>
          <ConnectionState />
        </header>
        <main class="shell-content" id="content" tabIndex={-1}>
          {page ? <Loaded key={page.path} page={page} rest={rest} /> : <Missing>{common().notFound}</Missing>}
        </main>
      </div>
      {isPaletteOpen.value ? <Palette /> : null}
      {isHelpOpen.value ? <Help /> : null}
      {isSettingsOpen ? <BrowserSettings onClose={() => setSettingsOpen(false)} /> : null}
      <Toasts />
    </div>
  );
}

function Loaded({ page, rest }: { page: Page; rest: readonly string[] }) {
  const [, setTurn] = useState(0);
  const [isGone, setGone] = useState(false);
  const Component = page.component ?? loaded.get(page.path);
  useEffect(() => {
    if (Component) return;
    page.load?.().then(
      module => {
        loaded.set(page.path, module.default);
        setTurn(before => before + 1);
      },
      () => setGone(true),
    );
  }, [page]);
  useEffect(() => {
    document.title = page.title ? `${page.title()} · alertgraph` : 'alertgraph';
  });
  if (isGone)
    return (
      <div class="missing">
        <p>{w().stale}</p>
        <button type="button" class="button" onClick={() => location.reload()}>
          {w().reload}
        </button>
      </div>
    );
  return Component ? <Component rest={rest} /> : <Missing isLoading />;
}

function BrowserSettings({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title={w().settings} onClose={onClose}>
      <div class="settings-grid">
        <label for="settings-theme">{w().theme}</label>
        <select
          id="settings-theme"
          class="input"
          value={theme.value}
          onChange={event => {
            theme.value = event.currentTarget.value as Theme;
          }}
        >
          {(['system', 'light', 'dark'] as const).map(each => (
            <option key={each} value={each}>
              {w().themes[each]}
            </option>
          ))}
        </select>
        <label for="settings-language">{w().language}</label>
        <select
          id="settings-language"
          class="input"
          value={chosenLanguage.value ?? ''}
          onChange={event => {
            chosenLanguage.value = (event.currentTarget.value || null) as Language | null;
          }}
        >
          <option value="">{w().system}</option>
          {Object.entries(languages).map(([each, name]) => (
            <option key={each} value={each} lang={each}>
              {name}
            </option>
          ))}
        </select>
      </div>
      <Tick label={keyWords().on} checked={areKeysOn.value} onChange={switchKeys} />
      <div>
        <button type="button" class="button" onClick={() => signOut()}>
          {w().signOut}
        </button>
      </div>
    </Dialog>
  );
}
