"""Storefronts: what a store shows, and how its owner chooses it."""

from s2b2c.stores.blocks import Block
from s2b2c.stores.copying import Copied, Part, adopt_setup, copy_store, mark_model, model_stores
from s2b2c.stores.history import LifePage, listing_versions, listings_at, past_shelf_key
from s2b2c.stores.hours import OpeningHours, opening
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
    shown,
    variants,
)
from s2b2c.stores.settings import (
    Persona,
    checked,
    personas,
    set_persona,
    store_at,
    stores_at,
    update_store,
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
    "Block",
    "BrokenRule",
    "Change",
    "Choice",
    "Copied",
    "LifePage",
    "OpeningHours",
    "OwnListing",
    "Part",
    "Persona",
    "Shopper",
    "adopt_setup",
    "check_words",
    "checked",
    "copy_store",
    "listing",
    "listing_versions",
    "listings",
    "listings_at",
    "mark_model",
    "model_stores",
    "open_store",
    "open_store_by_id",
    "opening",
    "own_listings",
    "own_store",
    "own_stores",
    "past_shelf_key",
    "personas",
    "remove_listings",
    "reorder_listings",
    "select_products",
    "set_persona",
    "shelf_key",
    "shown",
    "store_at",
    "stores_at",
    "update_listings",
    "update_store",
    "variants",
]
