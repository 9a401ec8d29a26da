/** Icons of 20 by 20, drawn with lines. */
const ICONS = {
  alerts: 'M4 5h12M4 10h12M4 15h7',
  onCall: 'M7 3v3M13 3v3M3.5 8.5h13M4 5h12v11.5H4zM8 12l1.6 1.6L12.5 11',
  rules: 'M4 16h4v-4h4V8h4V4',
  channels: 'M3.5 8.5v3h3l5 4v-11l-5 4zM14.5 7.5a4 4 0 0 1 0 5',
  silences: 'M5.5 13.5V9a4.5 4.5 0 0 1 9 0v4.5l1.5 1.5H4zM3 3l14 14',
  metrics: 'M4 16V9M9 16V4M14 16v-5M3 16.5h14',
  models: 'M10 3.5v4M10 12.5v4M3.5 10h4M12.5 10h4M10 7.5a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5',
  audit: 'M10 3l6 2.5V10c0 3.5-2.5 6-6 7-3.5-1-6-3.5-6-7V5.5zM7.5 10l1.8 1.8L12.8 8.3',
  settings: 'M4 6h7M15 6h1M4 14h1M9 14h7M13 4v4M7 12v4',
  search: 'M9 4a5 5 0 1 1 0 10A5 5 0 0 1 9 4M13 13l4 4',
  menu: 'M3.5 6h13M3.5 10h13M3.5 14h13',
  back: 'M12 4l-6 6 6 6',
  check: 'M4 10.5l4 4 8-9',
  more: 'M5 10h.01M10 10h.01M15 10h.01',
  graph: 'M5 5h4v4H5zM11 11h4v4h-4zM9 7h4v4',
} as const;

export type IconName = keyof typeof ICONS;

export function Icon({ name, size = 20 }: { name: IconName; size?: number }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" width={size} height={size} aria-hidden="true">
      <path
        d={ICONS[name]}
        fill="none"
        stroke="currentColor"
        stroke-width="1.6"
        stroke-linecap="round"
        stroke-linejoin="round"
      />
    </svg>
  );
}
