"""Frame to frame: triage and its rules, causes and comparison, statistics of deliveries."""
