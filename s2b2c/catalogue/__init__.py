"""Brands' supply: products, prices, stock."""

from s2b2c.catalogue.fitting import fit_listings
from s2b2c.catalogue.indexing import count_cohorts, index_products
from s2b2c.catalogue.selecting import OnOffer, Sort, Wanted, on_offer, one_on_offer
from s2b2c.catalogue.supply import SupplyVariant, TierCost, products_of_brand, supply_variants

__all__ = [
    "OnOffer",
    "Sort",
    "SupplyVariant",
    "TierCost",
    "Wanted",
    "count_cohorts",
    "fit_listings",
    "index_products",
    "on_offer",
    "one_on_offer",
    "products_of_brand",
    "supply_variants",
]
