import { useId, useMemo, useRef, useState } from 'preact/hooks';
import { Dialog } from '../parts/dialog';
import { Tick } from '../parts/field';
import { areKeysOn, type Command, commands, isHelpOpen, isPaletteOpen, switchKeys } from './index';
import './palette.css';
import { w } from './words';

/** Find a command by its words. */
export function Palette() {
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const list = useRef<HTMLDivElement>(null);
  const id = useId();
  // As they were when it was opened: what is underneath does not change meanwhile.
  const all = useMemo(() => commands().filter(command => !command.isHidden), []);
  const asked = text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = all.filter(command =>
    asked.every(word => `${command.group} ${command.label}`.toLowerCase().includes(word)),
  );
  const chosen = Math.min(at, found.length - 1);
  const close = () => {
    isPaletteOpen.value = false;
  };
  const run = (command: Command | undefined) => {
    close();
    // Once the dialog is gone, so that what opens next has the focus.
    if (command) setTimeout(command.run);
  };
  const move = (step: number) => {
    const next = (chosen + step + found.length) % Math.max(1, found.length);
    setAt(next);
    list.current?.children[next]?.scrollIntoView({ block: 'nearest' });
  };
  return (
    <Dialog title={w().palette} onClose={close}>
      <input
        class="input"
        data-first
        role="combobox"
        aria-expanded="true"
        aria-controls={id}
        aria-activedescendant={found[chosen] ? `${id}-${chosen}` : undefined}
        aria-label={w().search}
        placeholder={w().search}
        value={text}
        onInput={event => {
          setText(event.currentTarget.value);
          setAt(0);
        }}
        onKeyDown={event => {
          if (event.key === 'ArrowDown') move(1);
          else if (event.key === 'ArrowUp') move(-1);
          else if (event.key === 'Enter') run(found[chosen]);
          else return;
          event.preventDefault();
        }}
      />
      <div class="palette" id={id} role="listbox" aria-label={w().palette} ref={list}>
        {found.map((command, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are at the field above
          <div
            key={command.name}
            id={`${id}-${index}`}
            role="option"
            tabIndex={-1}
            aria-selected={index === chosen}
            onClick={() => run(command)}
          >
            <span class="grow">
              {command.label} <span class="faint small">{command.group}</span>
            </span>
            <Keys keys={command.keys} />
          </div>
        ))}
      </div>
      {found.length === 0 ? <p class="soft">{w().nothing}</p> : null}
    </Dialog>
  );
}

/** All keys, and the switch for them. */
export function Help() {
  const groups = new Map<string, Command[]>();
  for (const command of commands()) {
    if (command.keys.length === 0) continue;
    groups.set(command.group, [...(groups.get(command.group) ?? []), command]);
  }
  return (
    <Dialog
      title={w().help}
      isWide
      onClose={() => {
        isHelpOpen.value = false;
      }}
    >
      <div class="help">
        {[...groups].map(([group, members]) => (
          <section key={group}>
            <h3>{group}</h3>
            <dl>
              {members.map(command => (
                <div key={command.name}>
                  <dt>{command.label}</dt>
                  <dd>
                    <Keys keys={command.keys} />
                  </dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
      <div>
        <Tick label={w().on} checked={areKeysOn.value} onChange={switchKeys} />
        <p class="faint small">{w().onHint}</p>
      </div>
    </Dialog>
  );
}

function Keys({ keys }: { keys: readonly string[] }) {
  return (
    <span class="keys">
      {keys.slice(0, 2).map(each => (
        <span key={each}>
          {each.split(' ').map(part => (
            <kbd key={part}>{part}</kbd>
          ))}
        </span>
      ))}
    </span>
  );
}
