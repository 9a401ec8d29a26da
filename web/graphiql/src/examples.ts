/** What the first tabs hold: one document for each thing that is done all day. */

export interface Example {
  readonly query: string;
  readonly variables?: string;
}

export const EXAMPLES: readonly Example[] = [
  {
    query: `# What is open, worst first. Run it with Ctrl-Enter; Ctrl-Space tells what else there is.
query OpenAlerts {
  alerts(
    filter: { status: [TRIGGERED, ACKNOWLEDGED] }
    orderBy: { field: SEVERITY, direction: DESC }
    first: 20
  ) {
    totalCount
    nodes {
      id
      title
      severity
      status
      occurrenceCount
      triggeredAt
      escalationLevel
      nextEscalationAt
      holdReason
      incident {
        title
      }
      prediction {
        incidentProbability
        selfResolveProbability
      }
    }
  }
}
`,
  },
  {
    query: `# Everything that happens from now on, as it happens. Stop it with the same button.
subscription Live {
  alertEventBatches {
    live
    cursor
    events {
      number
      kind
      occurredAt
      summary
      alert {
        title
        status
        version
      }
    }
  }
}
`,
  },
  {
    query: `# Sends an alert; with the tab "Live" running, watch it come in. Needs INGEST.
mutation SendAlert($input: CreateAlertInput!) {
  createAlert(input: $input) {
    created
    alert {
      id
      title
      escalationRule {
        name
      }
    }
    errors {
      code
      message
      path
    }
  }
}
`,
    variables: JSON.stringify(
      {
        input: {
          title: 'Disk is 95 percent full',
          severity: 'HIGH',
          monitoredService: 'orders-db',
          dedupKey: 'graphiql-example',
          labels: { alertname: 'DiskFull', host: 'db-1' },
        },
      },
      null,
      2,
    ),
  },
  {
    query: `# Takes and then ends what the other tab has sent. Needs RESPONDER.
mutation Take($select: AlertSelector!) {
  acknowledgeAlerts(input: { select: $select, note: "Looking into it." }) {
    changedCount
    errors {
      message
      path
    }
  }
}

mutation End($select: AlertSelector!) {
  resolveAlerts(input: { select: $select, note: "Made room." }) {
    changedCount
    errors {
      message
      path
    }
  }
}
`,
    variables: JSON.stringify({ select: { dedupKeys: ['graphiql-example'] } }, null, 2),
  },
  {
    query: `# Who would be told when, if this alert came now and nobody reacted.
query WhoWouldBePaged($draft: CreateAlertInput!) {
  escalationForecast(draft: $draft) {
    holdReason
    rule {
      name
    }
    steps {
      at
      level
      responder {
        name
      }
      channel {
        name
      }
      reason
    }
  }
}
`,
    variables: JSON.stringify({ draft: { title: 'Primary is unreachable', severity: 'CRITICAL' } }, null, 2),
  },
];
