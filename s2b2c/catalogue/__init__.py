"""Brands' supply: products, prices, stock, rules."""

from s2b2c.catalogue.allotments import Allotment, AllotmentsPage, Aside, allotments, set_allotments
from s2b2c.catalogue.content import Field, FieldDiff
from s2b2c.catalogue.events import EventsPage, product_events, record
from s2b2c.catalogue.fitting import fit_listings
from s2b2c.catalogue.indexing import count_cohorts, index_products
from s2b2c.catalogue.prices import tiers_by_rank
from s2b2c.catalogue.pricing import (
    NewPrices,
    PricesChanged,
    PricesPage,
    apply_due_prices,
    cancel_price_changes,
    change_prices,
    price_history,
    upcoming_prices,
)
from s2b2c.catalogue.reviews import (
    ReviewsPage,
    Revision,
    approve,
    create_product,
    in_review,
    open_revisions,
    past_revisions,
    reject,
    review_key,
    revise,
    revision,
    submit,
    take_back,
)
from s2b2c.catalogue.rules import Rules, rules_history, rules_of, set_rules
from s2b2c.catalogue.selecting import OnOffer, Sort, Wanted, on_offer, one_on_offer
from s2b2c.catalogue.supply import (
    SupplyVariant,
    TierCost,
    details,
    product_of_brand,
    products_of_brand,
    supply_variants,
)
from s2b2c.catalogue.variants import NewVariant, StockChange, StockLevel, add_variants, set_stock
from s2b2c.catalogue.withdrawal import Reach, reach, relist, withdraw

__all__ = [
    "Allotment",
    "AllotmentsPage",
    "Aside",
    "EventsPage",
    "Field",
    "FieldDiff",
    "NewPrices",
    "NewVariant",
    "OnOffer",
    "PricesChanged",
    "PricesPage",
    "Reach",
    "ReviewsPage",
    "Revision",
    "Rules",
    "Sort",
    "StockChange",
    "StockLevel",
    "SupplyVariant",
    "TierCost",
    "Wanted",
    "add_variants",
    "allotments",
    "apply_due_prices",
    "approve",
    "cancel_price_changes",
    "change_prices",
    "count_cohorts",
    "create_product",
    "details",
    "fit_listings",
    "in_review",
    "index_products",
    "on_offer",
    "one_on_offer",
    "open_revisions",
    "past_revisions",
    "price_history",
    "product_events",
    "product_of_brand",
    "products_of_brand",
    "reach",
    "record",
    "reject",
    "relist",
    "review_key",
    "revise",
    "revision",
    "rules_history",
    "rules_of",
    "set_allotments",
    "set_rules",
    "set_stock",
    "submit",
    "supply_variants",
    "take_back",
    "tiers_by_rank",
    "upcoming_prices",
    "withdraw",
]
