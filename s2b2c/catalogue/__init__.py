"""Brands' supply: products, prices, stock, rules."""

from s2b2c.catalogue.allotments import Allotment, AllotmentsPage, Aside, allotments, set_allotments
from s2b2c.catalogue.fitting import fit_listings
from s2b2c.catalogue.indexing import count_cohorts, index_products
from s2b2c.catalogue.pricing import (
    NewPrices,
    PricesChanged,
    PricesPage,
    apply_due_prices,
    cancel_price_changes,
    change_prices,
    price_history,
    tiers_by_rank,
    upcoming_prices,
)
from s2b2c.catalogue.rules import Rules, rules_history, rules_of, set_rules
from s2b2c.catalogue.selecting import OnOffer, Sort, Wanted, on_offer, one_on_offer
from s2b2c.catalogue.supply import SupplyVariant, TierCost, products_of_brand, supply_variants

__all__ = [
    "Allotment",
    "AllotmentsPage",
    "Aside",
    "NewPrices",
    "OnOffer",
    "PricesChanged",
    "PricesPage",
    "Rules",
    "Sort",
    "SupplyVariant",
    "TierCost",
    "Wanted",
    "allotments",
    "apply_due_prices",
    "cancel_price_changes",
    "change_prices",
    "count_cohorts",
    "fit_listings",
    "index_products",
    "on_offer",
    "one_on_offer",
    "price_history",
    "products_of_brand",
    "rules_history",
    "rules_of",
    "set_allotments",
    "set_rules",
    "supply_variants",
    "tiers_by_rank",
    "upcoming_prices",
]
