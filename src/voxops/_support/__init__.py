"""What knows nothing of the API: the event loop, JSON, text made safe to show, arguments."""
