"""`uvicorn critical_alert_service:app` serves alertgraph, configured by CRITICAL_ALERT_* variables."""
