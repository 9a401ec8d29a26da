"""Offline: replays what happened, in the order in which it became known, and fits models on it."""
