"""Results below zero that host functions give to guests (docs/reference/guest-interface.md)."""

OK = 0
INVALID = -1
UNKNOWN_RECEIVER = -2
WOULD_BLOCK = -3
TOO_LARGE = -4
NOT_PERMITTED = -5
RATE_LIMITED = -6
TIMED_OUT = -7
NOT_FOUND = -8
NOT_APPROVED = -9
UNAVAILABLE = -10
FAILED = -11
BUDGET_SPENT = -12
TOO_DEEP = -13


def name_of(result: int) -> str:
    """For people: the name that guests know `result` by."""
    return next(name for name, value in globals().items() if name.isupper() and value == result)
