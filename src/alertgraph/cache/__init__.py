"""Wake-ups and live updates: losing them costs speed, never an event."""
