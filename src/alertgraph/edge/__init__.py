"""Where requests enter: HTTP, websockets, command line, and the wiring of it all."""
