"""s2b2c: brands' supply catalogues, tiered distributors, storefronts, orders, commissions, settlement."""
