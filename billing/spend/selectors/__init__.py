"""Reads of the ledger for pages and API. Money is nano-USD, tokens are counts, moments are UTC.

Everything here takes an ``Actor``: a door has opened the organisation, and every query names it once more. Sums take
corrections in, because a correction carries differences under the moment of the call that it corrects; counts of
requests do not.
"""

from billing.spend.selectors.budgets import BudgetUse, list_budget_uses, read_budget_book
from billing.spend.selectors.first_page import FirstPage, read_first_page
from billing.spend.selectors.groups import GROUPS, MAX_GROUPS
from billing.spend.selectors.lines import Line, Lines, Wanted, find_lines
from billing.spend.selectors.ranked import MOST as MOST_RANKED
from billing.spend.selectors.requests import (
    MAX_PAGE,
    ORDERS,
    Call,
    Page,
    RequestDetail,
    find_request_detail,
    get_request_detail,
    has_calls,
    list_requests,
    sum_asides,
)
from billing.spend.selectors.spend import Spend, SpendRow, find_spend
from billing.spend.selectors.tiles import Change, DayPoint, MonthTiles, month_tiles
from billing.spend.selectors.totals import MECHANISMS, Totals

__all__ = [
    "GROUPS",
    "MAX_GROUPS",
    "MAX_PAGE",
    "MECHANISMS",
    "MOST_RANKED",
    "ORDERS",
    "BudgetUse",
    "Call",
    "Change",
    "DayPoint",
    "FirstPage",
    "Line",
    "Lines",
    "MonthTiles",
    "Page",
    "RequestDetail",
    "Spend",
    "SpendRow",
    "Totals",
    "Wanted",
    "find_lines",
    "find_request_detail",
    "find_spend",
    "get_request_detail",
    "has_calls",
    "list_budget_uses",
    "list_requests",
    "month_tiles",
    "read_budget_book",
    "read_first_page",
    "sum_asides",
]
