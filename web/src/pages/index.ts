/** The pages of the console: what stands in the navigation, and what answers an address. */
import type { ComponentType } from 'preact';
import type { IconName } from '../parts/icon';
import type { Role } from '../session';
import { words } from '../words';
import AlertsPage from './list';

export interface PageProps {
  /** What of the address stands behind the page's own part: `['al_…']` of `alerts/al_…`. */
  readonly rest: readonly string[];
}

type PageModule = { default: ComponentType<PageProps> };

export interface Page {
  /** First part of the address. The empty one is the first page. */
  readonly path: string;
  /** Where it stands in the navigation; left out where it stands nowhere. */
  readonly title?: () => string;
  readonly icon?: IconName;
  /** The second letter of its key: `i` for `g i`. */
  readonly letter?: string;
  /** The role that it needs; VIEWER where left out. */
  readonly role?: Role;
  /** There from the start, where it is what most come for. */
  readonly component?: ComponentType<PageProps>;
  /** Loaded when it is first shown. */
  readonly load?: () => Promise<PageModule>;
}

const titles = words({
  en: {
    alerts: 'Alerts',
    onCall: 'On call',
    rules: 'Rules',
    channels: 'Channels',
    metrics: 'Metrics',
    silences: 'Silences',
    models: 'Models',
    audit: 'Audit',
  },
  de: {
    alerts: 'Alarme',
    onCall: 'Bereitschaft',
    rules: 'Regeln',
    channels: 'Kanäle',
    metrics: 'Kennzahlen',
    silences: 'Stummschaltungen',
    models: 'Modelle',
    audit: 'Protokoll',
  },
});

export const pages: readonly Page[] = [
  { path: '', title: () => titles().alerts, icon: 'alerts', letter: 'i', component: AlertsPage },
  { path: 'alerts', load: () => import('./alert') },
  {
    path: 'on-call',
    title: () => titles().onCall,
    icon: 'onCall',
    letter: 'o',
    load: () => import('./on-call'),
  },
  {
    path: 'silences',
    title: () => titles().silences,
    icon: 'silences',
    letter: 's',
    load: () => import('./silences'),
  },
  { path: 'rules', title: () => titles().rules, icon: 'rules', letter: 'r', load: () => import('./rules') },
  {
    path: 'channels',
    title: () => titles().channels,
    icon: 'channels',
    letter: 'c',
    load: () => import('./channels'),
  },
  // The service's own figures are at /metrics.
  {
    path: 'figures',
    title: () => titles().metrics,
    icon: 'metrics',
    letter: 'f',
    load: () => import('./metrics'),
  },
  {
    path: 'models',
    title: () => titles().models,
    icon: 'models',
    letter: 'm',
    load: () => import('./models'),
  },
  { path: 'audit', title: () => titles().audit, icon: 'audit', letter: 'l', load: () => import('./audit') },
];
