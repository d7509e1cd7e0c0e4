"""What `foreign` lacks of reports of sales, and every operation that takes the id of one, or ids to write one."""

from collections.abc import Mapping
from typing import Any

KINDS: dict[str, tuple[str, Mapping[str, str]]] = {
    "sales-export": (
        "SELECT id FROM sales_exports",
        {
            "brand": "account_id NOT IN (SELECT id FROM accounts WHERE brand_id = :me)",
            "operator": "account_id NOT IN (SELECT id FROM accounts WHERE role = 'operator')",
        },
    ),
}
"""As in `foreign.KINDS`."""
_BY = "SELECT min(e.id) FROM sales_exports e JOIN accounts a ON a.id = e.account_id WHERE"
OWN = {
    "sales_export": ("sales-export", f"{_BY} a.brand_id = :brand"),
    "platform_export": ("sales-export", f"{_BY} a.role = 'operator'"),
}
"""As in `foreign._OWN`."""


def operations(own: Mapping[str, str], days: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    report = {"report": "NEVER_SOLD", **days, "tier": own["tier"]}
    return {
        "brand/SalesExport": {"id": own["sales_export"]},
        "brand/ExportSales": {**report, "product": own["supplied_product"]},
        "operator/SalesExport": {"id": own["platform_export"]},
        "operator/ExportAllSales": {**report, "brand": own["brand"]},
    }
