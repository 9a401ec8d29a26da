/** The address by which a calendar program follows a schedule. */
import { useRef } from 'preact/hooks';
import { addressOf } from '../../api/transport';
import { Dialog } from '../../parts/dialog';
import { Field } from '../../parts/field';
import { complain, say } from '../../parts/toast';
import { common } from '../../words/common';
import { onCallWords } from './words';

export function Feed({ name, url, onClose }: { name: string; url: string; onClose: () => void }) {
  const w = onCallWords();
  const field = useRef<HTMLInputElement>(null);
  // Wherever a proxy has put us, and in full: it is used elsewhere.
  const address = addressOf(url.replace(/^\//, '')).href;

  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(address);
      say(w.copied);
    } catch {
      // There is no clipboard without TLS, or it is refused.
      field.current?.select();
      complain(w.copyFailed);
    }
  };

  return (
    <Dialog
      title={w.feedOf(name)}
      onClose={onClose}
      actions={
        <>
          <button type="button" class="button" onClick={onClose}>
            {common().close}
          </button>
          <button type="button" class="button first" onClick={() => void copy()}>
            {w.copy}
          </button>
        </>
      }
    >
      <Field label={w.address} hint={w.feedNote}>
        <input
          ref={field}
          class="input mono"
          readOnly
          value={address}
          onFocus={event => event.currentTarget.select()}
        />
      </Field>
    </Dialog>
  );
}
