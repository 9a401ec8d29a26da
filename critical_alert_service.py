"""`uvicorn critical_alert_service:app` serves alertgraph, configured by CRITICAL_ALERT_* variables."""

from alertgraph.edge.app import Application

app = Application()
