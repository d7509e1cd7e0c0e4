"""Brands' supply: products, prices, stock."""

from s2b2c.catalogue.fitting import fit_listings
from s2b2c.catalogue.selecting import Sort, Wanted, on_offer, one_on_offer
from s2b2c.catalogue.supply import SupplyVariant, TierCost, products_of_brand, supply_variants

__all__ = [
    "Sort",
    "SupplyVariant",
    "TierCost",
    "Wanted",
    "fit_listings",
    "on_offer",
    "one_on_offer",
    "products_of_brand",
    "supply_variants",
]
