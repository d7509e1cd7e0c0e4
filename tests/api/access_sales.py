"""Who sees what of what stores sold: rows of access_matrix.py."""

SALES = {
    "Sales": "stores regions tiers products periods distribution sellThrough neverSold",
    "StoreOutput": "store tier output orders units shareBps outputBefore growthBps listings cohort",
    "StoreCohort": "region stores rank mean median",
    "RegionOutput": "region stores sellingStores output orders units shareBps outputBefore growthBps",
    "TierOutput": "tier stores sellingStores output orders units shareBps outputBefore growthBps",
    "ProductOutput": (
        "product brandName output orders units shareBps outputBefore growthBps sellingStores listings sold soldBps"
    ),
    "ProductName": "id code title",
    "PeriodOutput": "start from to output orders units",
    "Distribution": "stores sellingStores output percentiles deciles topStores topOutput topBps",
    "OutputPercentile": "percent output",
    "OutputDecile": "decile stores output least most",
    "SellThrough": "store tier listings sold soldBps",
    "UnsoldListing": "store product listedAt removedAt",
    "SalesExport": (
        "id report startsOn endsOn brandId productId storeId region tierId format language encoding name state progress rows "
        "sha256 problem download createdAt startedAt finishedAt"
    ),
}
"""Of a brand and of the operator."""

SALES_FIGURES = (
    "BrandQuery.sales StoreOutput.cohort StoreOutput.listings "
    "StoreCohort.rank StoreCohort.mean StoreCohort.median RegionOutput.output RegionOutput.outputBefore "
    "TierOutput.output TierOutput.outputBefore ProductOutput.output ProductOutput.outputBefore "
    "ProductOutput.listings ProductOutput.sold OutputPercentile.output OutputDecile.output OutputDecile.least "
    "OutputDecile.most Distribution.output Distribution.topOutput Distribution.topBps SellThrough.listings "
    "SellThrough.sold SellThrough.soldBps UnsoldListing.listedAt UnsoldListing.removedAt SalesExport.download "
    "FileLink.url Mutation.exportSales Mutation.exportAllSales"
)
"""Of them, what only a brand, of its own products, finance and the operator may see."""
