/** One event: what it says, what it changed, and its proof, checked here. */
import { useEffect, useState } from 'preact/hooks';
import { useQuery } from '../../api/hooks';
import { Missing } from '../../parts/state';
import { AuditEvent } from './documents';
import { checked, type Finding, type Proof } from './proof';
import { auditWords } from './words';

export function EventDetail({ id }: { id: string }) {
  const w = auditWords();
  const { data, error, isLoading, reload } = useQuery(AuditEvent, { id });
  if (!data) return <Missing error={error} isLoading={isLoading} onRetry={reload} />;
  const event = data.node?.__typename === 'LogEvent' ? data.node : null;
  return (
    <div class="audit-more">
      <ProofStatus proof={data.auditProof ?? null} />
      {event?.note ? <p>{event.note}</p> : null}
      {event && event.changes.length > 0 ? (
        <section>
          <h3>{w.changes}</h3>
          <ul class="small">
            {event.changes.map(change => (
              <li key={change.field} class="audit-hash">
                <code>{change.field}</code>: {told(change.before, w.empty)} → {told(change.after, w.empty)}
              </li>
            ))}
          </ul>
        </section>
      ) : null}
      {event ? (
        <section>
          <h3>{w.content}</h3>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls */}
          <pre tabIndex={0}>{JSON.stringify(event.detail, null, 2)}</pre>
        </section>
      ) : null}
    </div>
  );
}

function ProofStatus({ proof }: { proof: Proof | null }) {
  const w = auditWords();
  const [finding, setFinding] = useState<Finding | null>(null);
  useEffect(() => {
    if (proof === null) return;
    let isWanted = true;
    checked(proof).then(
      found => isWanted && setFinding(found),
      () => isWanted && setFinding({ leadsToRoot: false, isSigned: false }),
    );
    return () => {
      isWanted = false;
    };
  }, [proof]);
  if (proof === null) return <p class="small soft">{w.noProof}</p>;
  const isSound = finding?.leadsToRoot === true && finding.isSigned !== false;
  return (
    <section class="stack" aria-live="polite">
      <h3>{w.proof}</h3>
      <p class="row">
        {finding === null ? <span class="tag">{w.checking}</span> : null}
        {finding !== null && isSound ? <span class="tag good">✓</span> : null}
        {finding !== null && !isSound ? <span class="tag bad">✗</span> : null}
        <span class={finding !== null && !isSound ? 'bad grow' : 'grow'}>
          {finding === null
            ? ''
            : !isSound
              ? w.broken
              : finding.isSigned === 'unknown'
                ? w.holdsUnsigned
                : w.holds}
        </span>
      </p>
      <details class="small">
        <summary>{w.place(proof.leafIndex + 1, proof.head.treeSize)}</summary>
        <dl class="stack">
          <div>
            <dt class="soft">{w.hash}</dt>
            <dd class="mono audit-hash">{proof.leafHash}</dd>
          </div>
          <div>
            <dt class="soft">{w.path}</dt>
            {proof.inclusionPath.map(hash => (
              <dd key={hash} class="mono audit-hash">
                {hash}
              </dd>
            ))}
          </div>
          <div>
            <dt class="soft">{w.root}</dt>
            <dd class="mono audit-hash">{proof.head.rootHash}</dd>
          </div>
          <div>
            <dt class="soft">{w.key}</dt>
            <dd class="mono audit-hash">{proof.head.keyId}</dd>
          </div>
        </dl>
      </details>
    </section>
  );
}

function told(value: unknown, empty: string): string {
  if (value === null || value === undefined) return empty;
  return typeof value === 'string' ? value : JSON.stringify(value);
}
