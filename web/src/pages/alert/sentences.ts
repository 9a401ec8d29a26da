/** An event as a sentence. The service says it in English; what is common is said in German here. */
import { language } from '../../words';
import type { EventLineFragment } from './documents';
import { w } from './words';

/** Whether an event is one that somebody reading the timeline at night looks for first. */
export function toneOf(event: EventLineFragment): 'bad' | 'good' | 'calm' | 'plain' {
  switch (event.kind) {
    case 'DELIVERY_FAILED':
    case 'DELIVERY_FELL_BACK':
    case 'SLA_BREACHED':
      return 'bad';
    case 'DELIVERY_SENT':
    case 'RESOLVED':
      return 'good';
    case 'ACKNOWLEDGED':
    case 'ASSIGNED':
    case 'NOTED':
      return 'calm';
    default:
      return 'plain';
  }
}

export function sentenceOf(event: EventLineFragment): string {
  return (language.value === 'de' ? german(event) : null) ?? event.summary;
}

function german(event: EventLineFragment): string | null {
  const who = event.actor.kind === 'ENGINE' ? 'Die Eskalation' : event.actor.name;
  const delivery = event.delivery;
  const whom = delivery?.responder?.name ?? delivery?.channelName ?? 'Der Kanal';
  const over = delivery?.responder ? ` über ${delivery.channelName}` : '';
  const why = delivery?.lastError ? ` (${delivery.lastError})` : '';
  switch (event.kind) {
    case 'TRIGGERED':
      return `${who} hat den Alarm ausgelöst.`;
    case 'REPEATED':
      return 'Er hat wieder ausgelöst.';
    case 'ACKNOWLEDGED':
      return `${who} hat den Alarm übernommen.`;
    case 'UNACKNOWLEDGED':
      return event.actor.kind === 'ENGINE'
        ? 'Die Übernahme ist abgelaufen; der Alarm steigt wieder.'
        : `${who} hat den Alarm zurückgegeben.`;
    case 'RESOLVED':
      return `${who} hat den Alarm gelöst.`;
    case 'REOPENED':
      return `${who} hat den gelösten Alarm wieder ausgelöst.`;
    case 'ESCALATED':
      return escalated(event, who);
    case 'NOTED':
      return `${who} hat eine Notiz geschrieben.`;
    case 'HELD':
      return event.holdReason ? `Vorerst wird nichts gesendet. ${w().hold[event.holdReason] ?? ''}` : null;
    case 'SILENCED':
      return 'Eine Stummschaltung deckt den Alarm ab.';
    case 'UNSILENCED':
      return 'Keine Stummschaltung deckt den Alarm mehr ab.';
    case 'INHIBITED':
      return 'Ein größerer Alarm verdeckt diesen.';
    case 'UNINHIBITED':
      return 'Kein größerer Alarm verdeckt diesen mehr.';
    case 'GROUPED':
      return 'Der Alarm kam zu einer Störung.';
    case 'UNGROUPED':
      return 'Der Alarm hat seine Störung verlassen.';
    case 'SLA_AT_RISK':
      return 'Drei Viertel einer SLA-Zeit sind vorbei.';
    case 'SLA_BREACHED':
      return 'Eine SLA-Zeit ist verstrichen.';
    case 'DELIVERY_SENT':
      return delivery ? `${whom} wurde${over} informiert.` : null;
    case 'DELIVERY_FAILED':
      return delivery ? `${whom} war${over} nicht zu erreichen${why}.` : null;
    case 'DELIVERY_FELL_BACK':
      return delivery
        ? `${delivery.channelName} ist gescheitert${why}; ${delivery.fellBackTo?.channelName ?? 'der Ersatz'} springt ein.`
        : null;
    case 'DELIVERY_SKIPPED':
      return delivery ? `${whom} wurde nicht informiert: es war nicht mehr nötig.` : null;
    default:
      return null;
  }
}

interface Notice {
  readonly channel?: string | null;
  readonly responder?: string | null;
}

function escalated(event: EventLineFragment, who: string): string | null {
  const { detail = {} } = event.detail as { detail?: { level?: number; notified?: readonly Notice[] } };
  const { notified } = detail;
  const level = detail.level ?? event.changes.find(({ field }) => field === 'escalationLevel')?.after;
  if (typeof level !== 'number') return null;
  const told = (notified ?? []).map(({ channel, responder }) => {
    const over = channel ?? 'einen Kanal';
    return responder ? `${responder} über ${over}` : over;
  });
  const begin =
    event.actor.kind === 'ENGINE'
      ? `Stufe ${level} ist erreicht`
      : `${who} hat den Alarm auf Stufe ${level} gehoben`;
  if (notified === undefined) return `${begin}.`;
  return told.length > 0
    ? `${begin}: informiert wird ${told.join(', ')}.`
    : `${begin}; dort ist niemand zu informieren.`;
}
