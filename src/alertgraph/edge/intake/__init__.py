"""Other systems' wire formats, translated to alerts."""
