/** Models: which predicts, how good each version is, and whether it can be believed. */
import { useQuery } from '../../api/hooks';
import { Missing } from '../../parts/state';
import { href, query } from '../../router';
import { count, dayAndTime, inWords, percent, secondsOf } from '../../words/time';
import { Curve } from './chart';
import { figure, gapOf } from './curve';
import { ModelStatus, type ModelStatusQuery, Models, type ModelsQuery } from './documents';
import './models.css';
import { modelWords } from './words';

type Model = ModelsQuery['predictionModels']['nodes'][number];
type Status = ModelStatusQuery['predictionStatus'];

const TONES: Readonly<Record<string, string>> = {
  ACTIVE: 'good',
  LEARNING: 'accent',
  SHADOW: 'accent',
  UNAVAILABLE: 'warn',
};
const TOUCHING = new Set(['MODEL_PROMOTED', 'MODEL_ROLLED_BACK']);

export default function ModelsPage() {
  const w = modelWords();
  const status = useQuery(ModelStatus, {}, event => TOUCHING.has(event.kind) || event.kind === 'RESOLVED');
  const { data, error, reload } = useQuery(Models, {}, event => TOUCHING.has(event.kind));
  const models = data?.predictionModels.nodes ?? [];
  const wanted = query.value.get('version');
  const chosen =
    models.find(each => each.version === wanted) ??
    models.find(each => each.id === status.data?.predictionStatus.model?.id) ??
    models.find(each => each.state === 'ACTIVE') ??
    models[0];
  return (
    <div class="page">
      <header>
        <h1 class="grow">{w.title}</h1>
      </header>
      <p class="soft">{w.what}</p>
      {status.data ? <Standing status={status.data.predictionStatus} /> : null}
      <section class="stack" aria-labelledby="models-versions">
        <h2 id="models-versions">{w.versions}</h2>
        {data ? null : <Missing error={error} isLoading={!error} onRetry={reload} />}
        {data && models.length === 0 ? <Missing>{w.none}</Missing> : null}
        {models.length > 0 ? (
          <ul class="rows model-list">
            {models.map(model => (
              <li key={model.id}>
                <a
                  href={href('models', { version: model.version })}
                  aria-current={model === chosen ? 'true' : undefined}
                >
                  <span class="row">
                    <strong>{model.version}</strong>
                    <span class={`tag ${TONES[model.state] ?? ''}`}>{w.uses[model.state]}</span>
                  </span>
                  <span class="small soft">
                    {w.trained(dayAndTime(model.trainedAt))} {w.examples(model.exampleCount)},{' '}
                    {w.useHints[model.state]}
                  </span>
                </a>
              </li>
            ))}
          </ul>
        ) : null}
      </section>
      {chosen ? <Version key={chosen.id} model={chosen} /> : null}
    </div>
  );
}

function Standing({ status }: { status: Status }) {
  const w = modelWords();
  return (
    <section class="sheet stack" aria-label={w.states[status.state]}>
      <p class="row">
        <span class={`tag ${TONES[status.state] ?? ''}`}>{w.states[status.state]}</span>
        <span>{status.reason}</span>
      </p>
      <dl class="model-figures">
        <Figure name={w.labels} value={count(status.labelCount)} />
        <Figure name={w.holding} value={status.noiseHoldingArmed ? w.armed : w.disarmed} />
        <Figure name={w.held} value={count(status.heldCount)} />
        <Figure name={w.regret} value={count(status.regretCount)} />
        <Figure name={w.lost} value={inWords(secondsOf(status.regret))} />
      </dl>
    </section>
  );
}

function Version({ model }: { model: Model }) {
  const w = modelWords();
  const drift = model.metrics.find(metric => metric.name === 'drift');
  const gap = gapOf(model.calibration);
  return (
    <section class="sheet stack" aria-labelledby="models-version">
      <h2 id="models-version">{model.version}</h2>
      <div class="model-parts">
        <div class="stack">
          <h3>{w.calibration}</h3>
          {model.calibration.length === 0 ? (
            <p class="small soft">{w.unmeasured}</p>
          ) : (
            <>
              <Curve bins={model.calibration} />
              <p class="small soft">
                {gap === null ? '' : w.off(percent(gap, 1))} {w.calibrationHint}
              </p>
              <details>
                <summary class="small">{w.asTable}</summary>
                <table class="model-table">
                  <thead>
                    <tr>
                      <th scope="col">{w.predicted}</th>
                      <th scope="col">{w.observed}</th>
                      <th scope="col">{w.alerts}</th>
                    </tr>
                  </thead>
                  <tbody>
                    {model.calibration.map(bin => (
                      <tr key={bin.predicted}>
                        <td class="number">{percent(bin.predicted, 1)}</td>
                        <td class="number">{percent(bin.observed, 1)}</td>
                        <td class="number">{count(bin.count)}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </details>
            </>
          )}
          {drift ? (
            <dl class="model-figures">
              <div>
                <dt>{w.drift}</dt>
                <dd class="number">{figure(drift.value)}</dd>
                <dd class="small soft">{w.driftHint}</dd>
              </div>
            </dl>
          ) : null}
        </div>
        <div class="stack model-scroll">
          <h3>{w.metrics}</h3>
          <table class="model-table">
            <thead>
              <tr>
                <th scope="col">{w.metric}</th>
                <th scope="col">{w.value}</th>
                <th scope="col">{w.interval}</th>
                <th scope="col">{w.meaning}</th>
              </tr>
            </thead>
            <tbody>
              {model.metrics.map(metric => (
                <tr key={metric.name}>
                  <th scope="row">
                    <code>{metric.name}</code>
                  </th>
                  <td class="number">{figure(metric.value)}</td>
                  <td class="number soft">
                    {metric.low !== null &&
                    metric.low !== undefined &&
                    metric.high !== null &&
                    metric.high !== undefined
                      ? `${figure(metric.low)} – ${figure(metric.high)}`
                      : ''}
                  </td>
                  <td class="soft">{metric.definition}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </div>
    </section>
  );
}

function Figure({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd class="number">{value}</dd>
    </div>
  );
}
