/** Channels: how people and machines are reached, and how each is doing. */
import { useState } from 'preact/hooks';
import { useQuery } from '../../api/hooks';
import { ask } from '../../api/transport';
import { useCommands } from '../../keys';
import type { LiveEvent } from '../../live';
import { removed } from '../../parts/removal';
import { Missing } from '../../parts/state';
import { complain, say } from '../../parts/toast';
import { may } from '../../session';
import { common } from '../../words/common';
import { clock, dayAndTime } from '../../words/time';
import './channels.css';
import { type ChannelRowFragment, Channels, DeleteChannel, TestChannel } from './documents';
import { ChannelForm } from './form';
import { channelWords } from './words';

const TOUCHING = new Set(['DELIVERY_FAILED', 'DELIVERY_FELL_BACK', 'DELIVERY_SENT']);
const isTouching = (event: LiveEvent): boolean =>
  event.subjectType === 'NotificationChannel' || TOUCHING.has(event.kind);

export default function ChannelsPage() {
  const w = channelWords();
  const { data, error, reload } = useQuery(Channels, {}, isTouching);
  const [opened, setOpened] = useState<ChannelRowFragment | 'new' | null>(null);
  const isAdmin = may('ADMIN');
  const channels = data?.notificationChannels.nodes ?? [];
  const known = opened === 'new' ? null : opened;
  useCommands(
    isAdmin
      ? [{ name: 'channel.new', label: w.make, keys: ['n'], group: w.title, run: () => setOpened('new') }]
      : [],
  );
  return (
    <div class="page">
      <header>
        <h1 class="grow">{w.title}</h1>
        {isAdmin ? (
          <button type="button" class="button first" onClick={() => setOpened('new')}>
            {w.make}
          </button>
        ) : (
          <span class="small faint">{common().needs('ADMIN')}</span>
        )}
      </header>
      <p class="soft">{w.what}</p>
      {data ? null : <Missing error={error} isLoading={!error} onRetry={reload} />}
      {data && channels.length === 0 ? <Missing>{w.none}</Missing> : null}
      {channels.length > 0 ? (
        <ul class="rows tall">
          {channels.map(channel => (
            <Row key={channel.id} channel={channel} onEdit={() => setOpened(channel)} onChanged={reload} />
          ))}
        </ul>
      ) : null}
      {opened ? (
        <ChannelForm
          known={known}
          others={channels.filter(each => each.id !== known?.id)}
          onDone={() => {
            setOpened(null);
            reload();
          }}
          onClose={() => setOpened(null)}
        />
      ) : null}
    </div>
  );
}

function Row({
  channel,
  onEdit,
  onChanged,
}: {
  channel: ChannelRowFragment;
  onEdit: () => void;
  onChanged: () => void;
}) {
  const w = channelWords();
  const [isTesting, setTesting] = useState(false);
  const { health, name } = channel;
  const remove = (): void => {
    void removed(w.sure(name), w.removed(name), async () => {
      const { deleteNotificationChannel } = await ask(DeleteChannel, { input: { id: channel.id } });
      return deleteNotificationChannel.errors;
    }).then(onChanged);
  };
  const test = async (): Promise<void> => {
    setTesting(true);
    try {
      const { testNotificationChannel: came } = await ask(TestChannel, { input: { id: channel.id } });
      const [problem] = came.errors;
      if (came.delivered) say(w.delivered(name, came.detail));
      else complain(w.notDelivered(name, problem?.message ?? came.detail));
      onChanged();
    } catch (error) {
      complain(error instanceof Error ? error.message : String(error));
    } finally {
      setTesting(false);
    }
  };
  return (
    <li>
      <div class="channel-what">
        <p class="row">
          <strong>{name}</strong>
          <span class="tag">{w.kinds[channel.kind]}</span>
          {channel.enabled ? null : <span class="tag warn">{w.off}</span>}
          <Health health={health} />
        </p>
        <p class="small soft row">
          <span class="channel-where">{whereOf(channel.config)}</span>
          <span>{channel.fallback ? w.fallback(channel.fallback.name) : w.noFallback}</span>
          {health.lastSuccessAt ? <span>{w.lastSuccess(dayAndTime(health.lastSuccessAt))}</span> : null}
        </p>
        {health.lastError && !health.healthy ? (
          <p class="small bad channel-where">
            {w.lastError}: {health.lastError}
          </p>
        ) : null}
      </div>
      {may('ADMIN') ? (
        <div class="row">
          <button
            type="button"
            class="button"
            aria-label={`${isTesting ? w.sending : w.test}: ${name}`}
            disabled={isTesting}
            onClick={() => void test()}
          >
            {isTesting ? w.sending : w.test}
          </button>
          <button type="button" class="button" aria-label={`${common().edit}: ${name}`} onClick={onEdit}>
            {common().edit}
          </button>
          <button
            type="button"
            class="button danger"
            aria-label={`${common().remove}: ${name}`}
            onClick={remove}
          >
            {common().remove}
          </button>
        </div>
      ) : (
        <span />
      )}
    </li>
  );
}

function Health({ health }: { health: ChannelRowFragment['health'] }) {
  const w = channelWords();
  if (!health.healthy)
    return (
      <span class="tag bad">
        {w.sick}
        {health.circuitOpenUntil ? `, ${w.triedAt(clock(health.circuitOpenUntil))}` : ''}
      </span>
    );
  return health.lastSuccessAt ? (
    <span class="tag good">{w.healthy}</span>
  ) : (
    <span class="tag">{w.unknown}</span>
  );
}

function whereOf(config: ChannelRowFragment['config']): string {
  switch (config.__typename) {
    case 'SlackConfig':
      return config.channel;
    case 'TeamsConfig':
      return config.host;
    case 'PagerDutyConfig':
      return `…${config.routingKeyEnd}`;
    case 'WebhookConfig':
      return config.url;
    case 'EmailConfig':
      return config.to.join(', ');
  }
}
