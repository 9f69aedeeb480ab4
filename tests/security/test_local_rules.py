"""Rules of our own that no linter knows, by reading every module: money stays whole, statements are constants.

Who may open connections is in ``test_ways_out.py``, who may import whom in ``pyproject.toml``, Bandit's rules are
Ruff's.
"""

import ast
from collections import Counter
from typing import Final

from tests.security.test_ways_out import ROOT, modules

#: where amounts are decided, or added up: modules, or packages with a full stop behind them
MONEY: Final = (
    "billing.invoices.core.",
    "costhub.lib.money",
    "proxy.core.answered",
    "proxy.core.batch_cost",
    "proxy.core.bounds",
    "proxy.core.budgets",
    "proxy.core.cost_fields",
    "proxy.core.ladders",
    "proxy.core.layout",
    "proxy.core.off_peak",
    "proxy.core.paid_fields",
    "proxy.core.paid_tools",
    "proxy.core.plan",
    "proxy.core.pricing",
    "proxy.core.rate_limits",
    "proxy.core.row",
    "proxy.core.savings",
    "proxy.core.weigh",
    "proxy.edges.reserve_batch",
    "proxy.edges.settle_batch",
    "proxy.ledger.",
    "proxy.values.plan",
    "tenants.price_",
    "tenants.snapshots",
)
#: divisions that are exact, and why
DIVIDES: Final = {
    "billing.invoices.core.lines": "a Decimal",
    "billing.invoices.core.tax": "a Decimal",
    "tenants.price_table": "a Decimal",
}
#: fractions of a second
SECONDS: Final = {"proxy.ledger.bill_corrections": 1}
#: statements that are put together, of constants and names that the database gave: how many a module has. What callers
#: say goes in by parameters
STATEMENTS: Final = {
    "billing.invoices.selectors.invoices": 1,
    "billing.spend.selectors.sums": 9,
    "billing.spend.selectors.usage": 3,
    "costhub.ops.end_users": 6,
    "costhub.ops.erasure": 1,
    "costhub.ops.export": 3,
    "costhub.ops.tenant_tables": 1,
    "proxy.batches.pace": 1,
    "proxy.cache.semantic_store": 3,
    "proxy.learning.orgs_with": 1,
    "proxy.ledger.counts": 2,
    "tenants.access": 1,
}


def divides(tree: ast.Module) -> bool:
    """Whether something is divided, other than by ``//``."""
    return any(isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div) for node in ast.walk(tree))


def count_floats(tree: ast.Module) -> int:
    """How often a number is written as, or made, a float."""
    return sum(
        (isinstance(node, ast.Constant) and isinstance(node.value, float | complex))
        or (isinstance(node, ast.Name) and node.id == "float")
        for node in ast.walk(tree)
    )


def of_money() -> dict[str, ast.Module]:
    found = {name: tree for name, tree in modules() if name.startswith(MONEY)}
    assert all(any(name.startswith(each) for name in found) for each in MONEY), "a module that is gone"
    return found


def test_money_is_never_a_float() -> None:
    assert {name: count for name, tree in of_money().items() if (count := count_floats(tree))} == SECONDS


def test_money_is_divided_exactly() -> None:
    assert {name for name, tree in of_money().items() if divides(tree)} == DIVIDES.keys()


def test_statements_that_are_put_together_are_known() -> None:
    """Ruff finds each of them; one more exception from its rule is looked at here."""
    found: Counter[str] = Counter()
    for name, _ in modules():
        found[name] += (ROOT / f"{name.replace('.', '/')}.py").read_text().count("noqa: S608")
    assert +found == STATEMENTS


def test_certificates_are_checked_everywhere() -> None:
    """No module names what would take any certificate; whoever wants another name in it says so in a URL."""
    unchecked = {"CERT_NONE", "CERT_OPTIONAL", "_create_unverified_context"}
    assert [name for name, tree in modules() if unchecked & names_in(tree)] == []


def names_in(tree: ast.Module) -> set[str]:
    """Every name and every attribute."""
    nodes = list(ast.walk(tree))
    return {node.id for node in nodes if isinstance(node, ast.Name)} | {
        node.attr for node in nodes if isinstance(node, ast.Attribute)
    }


def test_the_rules_find_what_they_forbid() -> None:
    for text, floats, is_divided in (
        ("cost = tokens * 0.15", 1, False),
        ("cost = float(text)", 1, False),
        ("def weigh(share: float) -> int: ...", 1, False),
        ("cost = tokens / 1_000_000", 0, True),
        ("cost /= 2", 0, True),
        ("cost = -(-tokens // 1_000_000)", 0, False),
    ):
        tree = ast.parse(text)
        assert (count_floats(tree), divides(tree)) == (floats, is_divided), text
    assert "CERT_NONE" in names_in(ast.parse("context.verify_mode = ssl.CERT_NONE"))
