"""Frame to frame: triage and its rules, causes, deliveries, incidents, campaign sheets, comparison."""
