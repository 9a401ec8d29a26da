"""Channels: Slack, Teams, PagerDuty, webhooks and e-mail, each spoken to in its own way."""
