"""Who may look at Placement: it is the operator's."""

from pilvi.policy import ADMIN

RULES = {"placement:read": ADMIN}
