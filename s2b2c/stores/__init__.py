"""Storefronts: what a store shows, and how its owner chooses it."""

from s2b2c.stores.history import LifePage, listing_versions, listings_at, past_shelf_key
from s2b2c.stores.reading import (
    Shopper,
    listing,
    listings,
    open_store,
    open_store_by_id,
    own_listings,
    own_store,
    own_stores,
    shelf_key,
    variants,
)
from s2b2c.stores.shelf import (
    MAX_PITCH_LENGTH,
    Change,
    Choice,
    OwnListing,
    remove_listings,
    reorder_listings,
    select_products,
    update_listings,
)
from s2b2c.stores.words import BrokenRule, check_words

__all__ = [
    "MAX_PITCH_LENGTH",
    "BrokenRule",
    "Change",
    "Choice",
    "LifePage",
    "OwnListing",
    "Shopper",
    "check_words",
    "listing",
    "listing_versions",
    "listings",
    "listings_at",
    "open_store",
    "open_store_by_id",
    "own_listings",
    "own_store",
    "own_stores",
    "past_shelf_key",
    "remove_listings",
    "reorder_listings",
    "select_products",
    "shelf_key",
    "update_listings",
    "variants",
]
