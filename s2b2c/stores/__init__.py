"""Storefronts: what a store shows, and how its owner chooses it."""

from s2b2c.stores.reading import (
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

__all__ = [
    "MAX_PITCH_LENGTH",
    "Change",
    "Choice",
    "OwnListing",
    "listing",
    "listings",
    "open_store",
    "open_store_by_id",
    "own_listings",
    "own_store",
    "own_stores",
    "remove_listings",
    "reorder_listings",
    "select_products",
    "shelf_key",
    "update_listings",
    "variants",
]
