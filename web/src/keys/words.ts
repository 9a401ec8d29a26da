import { words } from '../words';

export const w = words({
  en: {
    palette: 'Commands',
    search: 'What do you want to do?',
    nothing: 'No command is called that.',
    help: 'Keyboard',
    on: 'Single keys are switched on',
    onHint: 'Switch them off where they get in your way; Ctrl K stays.',
    general: 'Everywhere',
    showHelp: 'Show the keys',
    openPalette: 'Open the command palette',
    undo: 'Take back what was just done',
  },
  de: {
    palette: 'Befehle',
    search: 'Was möchtest du tun?',
    nothing: 'So heißt kein Befehl.',
    help: 'Tastatur',
    on: 'Einzelne Tasten sind eingeschaltet',
    onHint: 'Schalte sie aus, wenn sie im Weg sind; Strg K bleibt.',
    general: 'Überall',
    showHelp: 'Tasten zeigen',
    openPalette: 'Befehlspalette öffnen',
    undo: 'Zurücknehmen, was eben geschah',
  },
});
