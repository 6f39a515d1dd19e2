"""Frame to frame: triage and its rules, causes, deliveries, incidents, campaign sheets, comparison."""

from __future__ import annotations

from voxops.analysis.about import about_posts
from voxops.analysis.campaign import check_campaign, read_campaign
from voxops.analysis.cause_counts import cause_partial, causes, finish_causes, merge_causes
from voxops.analysis.deliveries import delivery_stats, finish
from voxops.analysis.incidents import never_delivered, outages
from voxops.analysis.levels import Objective, finish_levels, level_partial, merge_levels, service_levels
from voxops.analysis.partials import deduplicate, delivery_state, merge, partial
from voxops.analysis.rules import Rule
from voxops.analysis.templates import message_template
from voxops.analysis.verdicts import judge, triage
from voxops.analysis.weekly import cause_weeks, merge_weeks, week_partial
from voxops.analysis.weeks import compare_weeks

__all__ = [
    "Objective",
    "Rule",
    "about_posts",
    "cause_partial",
    "cause_weeks",
    "causes",
    "check_campaign",
    "compare_weeks",
    "deduplicate",
    "delivery_state",
    "delivery_stats",
    "finish",
    "finish_causes",
    "finish_levels",
    "judge",
    "level_partial",
    "merge",
    "merge_causes",
    "merge_levels",
    "merge_weeks",
    "message_template",
    "never_delivered",
    "outages",
    "partial",
    "read_campaign",
    "service_levels",
    "triage",
    "week_partial",
]
