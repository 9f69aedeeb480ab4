"""Contains all the data models used in inputs/outputs"""

from .action_enum import ActionEnum
from .budget_answer import BudgetAnswer
from .budget_answer_within_type_0 import BudgetAnswerWithinType0
from .budget_request_answer import BudgetRequestAnswer
from .budget_request_answer_state_enum import BudgetRequestAnswerStateEnum
from .denial import Denial
from .grant import Grant
from .group_answer import GroupAnswer
from .group_answer_group import GroupAnswerGroup
from .group_answer_labels import GroupAnswerLabels
from .group_answer_savings import GroupAnswerSavings
from .key_answer import KeyAnswer
from .list_budget_requests_state import ListBudgetRequestsState
from .list_budgets_scope import ListBudgetsScope
from .new_budget import NewBudget
from .new_budget_ladder_item import NewBudgetLadderItem
from .new_budget_ladder_item_rung import NewBudgetLadderItemRung
from .new_key_answer import NewKeyAnswer
from .new_key_body import NewKeyBody
from .paginated_budget_answer_list import PaginatedBudgetAnswerList
from .paginated_budget_request_answer_list import PaginatedBudgetRequestAnswerList
from .paginated_key_answer_list import PaginatedKeyAnswerList
from .paginated_project_answer_list import PaginatedProjectAnswerList
from .patched_budget_changes import PatchedBudgetChanges
from .patched_budget_changes_ladder_item import PatchedBudgetChangesLadderItem
from .patched_budget_changes_ladder_item_rung import PatchedBudgetChangesLadderItemRung
from .period_enum import PeriodEnum
from .problem import Problem
from .problem_errors_item import ProblemErrorsItem
from .project_answer import ProjectAnswer
from .rotation import Rotation
from .scope_enum import ScopeEnum
from .spend_answer import SpendAnswer
from .totals_answer import TotalsAnswer
from .totals_answer_savings import TotalsAnswerSavings
from .within import Within

__all__ = (
    "ActionEnum",
    "BudgetAnswer",
    "BudgetAnswerWithinType0",
    "BudgetRequestAnswer",
    "BudgetRequestAnswerStateEnum",
    "Denial",
    "Grant",
    "GroupAnswer",
    "GroupAnswerGroup",
    "GroupAnswerLabels",
    "GroupAnswerSavings",
    "KeyAnswer",
    "ListBudgetRequestsState",
    "ListBudgetsScope",
    "NewBudget",
    "NewBudgetLadderItem",
    "NewBudgetLadderItemRung",
    "NewKeyAnswer",
    "NewKeyBody",
    "PaginatedBudgetAnswerList",
    "PaginatedBudgetRequestAnswerList",
    "PaginatedKeyAnswerList",
    "PaginatedProjectAnswerList",
    "PatchedBudgetChanges",
    "PatchedBudgetChangesLadderItem",
    "PatchedBudgetChangesLadderItemRung",
    "PeriodEnum",
    "Problem",
    "ProblemErrorsItem",
    "ProjectAnswer",
    "Rotation",
    "ScopeEnum",
    "SpendAnswer",
    "TotalsAnswer",
    "TotalsAnswerSavings",
    "Within",
)
