"""What HTTP/1.1 and HTTP/2 have in common: an exchange as the story directs it, and the listener."""
