/** The page: a key first, then GraphiQL with it. */
import { GraphiQL } from 'graphiql';
import { type FormEvent, useEffect, useMemo, useRef, useState } from 'react';
import { EXAMPLES } from './examples';
import { serviceFor, type Viewer, viewerOf } from './service';
import { keepKey, restoredKey } from './session';

export function Page() {
  const [key, setKey] = useState(restoredKey);
  const [viewer, setViewer] = useState<Viewer | null>(null);
  const [problem, setProblem] = useState<string | null>(null);

  useEffect(() => {
    if (key === null) return;
    let isWanted = true;
    viewerOf(key).then(
      found => {
        if (!isWanted) return;
        keepKey(key);
        setViewer(found);
      },
      (error: Error) => {
        if (!isWanted) return;
        keepKey(null);
        setProblem(error.message);
        setKey(null);
      },
    );
    return () => {
      isWanted = false;
    };
  }, [key]);

  if (key === null)
    return (
      <SignIn
        problem={problem}
        onKey={given => {
          setProblem(null);
          setKey(given);
        }}
      />
    );
  if (viewer === null) return <p className="waiting">Asking whose key this is …</p>;
  return (
    <Explorer
      key={key}
      apiKey={key}
      viewer={viewer}
      onLeave={() => {
        keepKey(null);
        setViewer(null);
        setKey(null);
      }}
    />
  );
}

function SignIn({ problem, onKey }: { problem: string | null; onKey: (key: string) => void }) {
  const field = useRef<HTMLInputElement>(null);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const given = field.current?.value.trim();
    if (given) onKey(given);
  };
  return (
    <main className="sign-in">
      <form onSubmit={submit}>
        <h1>GraphiQL</h1>
        <label htmlFor="key">API key</label>
        <input
          id="key"
          ref={field}
          type="password"
          autoComplete="off"
          required
          aria-describedby={problem ? 'problem' : undefined}
          aria-invalid={problem !== null}
        />
        {problem && (
          <p id="problem" role="alert">
            {problem}
          </p>
        )}
        <button type="submit">Use it in this tab</button>
        <p>
          It is kept until the tab is closed. <code>alertgraph key create</code> makes one.
        </p>
      </form>
    </main>
  );
}

function Explorer({ apiKey, viewer, onLeave }: { apiKey: string; viewer: Viewer; onLeave: () => void }) {
  const service = useMemo(() => serviceFor(apiKey), [apiKey]);
  useEffect(() => () => void service.sockets.dispose(), [service]);
  return (
    <div className="explorer">
      <header>
        <a href="../">Console</a>
        <span>
          <b>{viewer.tenant.name}</b> · {viewer.subject} · {viewer.role}
        </span>
        <button type="button" onClick={onLeave}>
          Use another key
        </button>
      </header>
      <GraphiQL
        fetcher={service.fetcher}
        defaultTabs={[...EXAMPLES]}
        defaultQuery={'query Viewer {\n  viewer {\n    role\n    tenant {\n      name\n    }\n  }\n}\n'}
        // The key belongs to the tab; what GraphiQL keeps outlives it.
        isHeadersEditorEnabled={false}
        shouldPersistHeaders={false}
        showPersistHeadersSettings={false}
      >
        <GraphiQL.Logo>alertgraph</GraphiQL.Logo>
      </GraphiQL>
    </div>
  );
}
