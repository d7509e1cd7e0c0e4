"""Who sees what: every field of the schema beside the roles whose doors lead to it.

A new field stands in no row, and fails the test until somebody has decided where it belongs. The pages of a list are for
whom its rows are, unless they have rows of their own here.
"""

from typing import NamedTuple

from tests.api import access_matrix_recruiting
from tests.api.access_eliminations import ELIMINATIONS
from tests.api.access_sales import SALES, SALES_FIGURES

EVERYBODY = "nobody customer distributor brand finance operator"

MATRIX: dict[str, dict[str, str]] = {
    EVERYBODY: {
        "Query": "shop",
        "ShopQuery": "store movedTo cart node enums",
        "Storefront": "id slug title region listings product persona coverUrl blocks openingHours isOpenNow opensAt",
        "Listing": "id price pitch disclosure position product variants",
        "Persona": "name avatarUrl story",
        "BannerBlock": "imageUrl title product",
        "PicksBlock": "title products",
        "StoryBlock": "title text pictureUrl",
        "GridBlock": "columns items",
        "GridItem": "imageUrl product",
        "CountdownBlock": "title endsAt products",
        "OpeningHours": "spans closedDays",
        "OpenSpan": "day opens closes",
        "Money": "amount currency",
        "Product": "id title category tonalities audiences imageUrl brand images description",
        "Brand": "id name persona",
        "Variant": "id sku options inStock",
        "Option": "name value",
        "PageInfo": "hasNextPage hasPreviousPage startCursor endCursor",
        "Cart": "lines goods freight total canBeOrdered opensAt",
        "CartLine": "lineNo variant productTitle imageUrl sku options quantity unitPrice amount inStock problem",
        "ShopNode": "id",
        "EnumLabels": "name values",
        "EnumValue": "name label",
        "Mutation": "enterAsGuest requestCode signInWithCode signInWithPassword signInWithWechat refreshSession acceptInvitation",
        "GuestResult": "token",
        "CodeSent": "expiresInS",
        "SignedIn": "accessToken accessTokenExpiresAt refreshToken membership memberships",
        "Membership": "id role name state",
        "BadArgument": "code message",
        "NotFound": "code message",
        "WrongState": "code message",
        "SignInOff": "code message",
        "TooManyRequests": "code message retryAfterS",
        "WrongCredentials": "code message",
    },
    "customer distributor brand finance operator": {
        "Mutation": "signOut changePassword exportMyData eraseMe",
        "PersonalRecord": "kind json",
        "Erased": "at",
        "Store": "id slug title region",
        "PaymentsOff": "code message",
        "SignedOut": "sessions",
        "PasswordChanged": "at",
    },
    "customer distributor brand operator": {
        "Parcel": "carrier trackingNo shippedAt contents",
        "ParcelContent": "lineNo quantity",
        "AlreadyTaken": "code message",
    },
    "distributor brand finance operator": {
        "Tier": "id code rank name isLeader",
    },
    "distributor brand finance": {
        "SettlementRun": "id cutoff state createdAt payOn",
    },
    "distributor finance operator": {
        "DistributorName": "id code name",
    },
    "customer distributor": {
        "OrderLine": "lineNo productTitle imageUrl sku options quantity unitPrice discount paid refunded refundedUnits shippedUnits",
    },
    "customer brand": {
        "OrderAddress": "recipient phone region street",
    },
    "customer operator": {
        "NotOnOffer": "code message lines",
        "LineProblem": "lineNo inStock unitPrice",
        "OutOfStock": "code message lines",
        "PriceChanged": "code message lines",
        "RefundAsked": "id amount state",
    },
    "distributor brand": {
        "Notice": "id kind text createdAt readAt",
        "Statement": "id run lineCount gross clawbacks adjustments withheld debtOffset net carryIn payout carryOut debtAdded lines adjustmentLines dispute payment",
        "Payout": "amount rail state hold sentAt confirmedAt reversedAt reference",
        "Adjustment": "id amount dated reason createdAt",
        "Dispute": "id run reason openedAt outcome answer answeredAt adjusted leftAt",
        "StatementLine": (
            "id kind orderNo lineNo paidAt completedAt maturesAt refundedAt store productTitle sku quantity paid "
            "position amount outcome"
        ),
        "PayoutAccount": "transfers payoutsEnabled detailsSubmitted changedAt",
        "PayeeDetails": "legalName identityNumber bankName bankAccount updatedAt",
        "Mutation": "markNoticesRead onboardPayouts setPayee disputeStatement",
        "NoticesRead": "notices",
        "PayoutsOnboarding": "url",
    },
    "distributor operator": {
        "SetupCopied": "store settingsChanged added kept notOnOffer noPriceFits leftOut",
        "LeftOut": "product reason",
        "Distributor": "id code name state tier region joinedOn parent members stores",
        "NotSelectable": "code message reason",
        "PriceOutOfBand": "code message lowestPrice highestPrice bound",
        "BreaksBrandRules": "code message rule text",
        "PastListing": "since until price position pitch pinned regions segments why by product",
    },
    "distributor brand operator": {
        "ChangedBy": "id role",
    },
    "brand operator": {
        **SALES,
        "Mutation": "invite removeMember withdrawProduct relistProduct",
        "MemberRemoved": "sessions",
        "InvalidPrices": "code message problems",
        "PriceProblem": "sku field message",
        "Invited": "token expiresAt",
        "WithdrawalReach": "stores distributors orders amount",
        "ProductEvent": "at kind reason withdrawn by",
        "Withdrawn": "stores distributors orders amount",
        "ProductRelisted": "id state",
        "FieldDiff": "field before after",
        "SupplyVariant": (
            "id sku options inStock stock supplyPrice suggestedPrice minPrice maxPrice tierCosts upcomingPrices "
            "priceHistory allotted free allotments"
        ),
        "TierCost": "tier cost",
        "PriceChange": (
            "id startsAt state refusal createdAt doneAt by supplyPrice suggestedPrice minPrice maxPrice tierCosts"
        ),
        "Allotment": "store region quantity updatedAt",
        "PriceSpan": "since until supplyPrice suggestedPrice minPrice maxPrice tierCosts",
    },
    "finance operator": {
        "PeriodOpen": "code message",
        "Payment": "id method amount state intentId createdAt succeededAt returnedAt",
    },
    "brand finance operator": {
        "Progress": "step done total",
        "FileLink": "url expiresAt",
    },
    "customer": {
        "ShopQuery": "me",
        "Customer": "node addresses orders order boundTo",
        "CustomerNode": "id",
        "Address": "id recipient phone region street isDefault",
        "Order": (
            "parcels id orderNo state store placedAt paidAt shippedAt receivedAt completedAt cancelledAt goods "
            "discount paid freight total refunded lines payBefore address lastRefund"
        ),
        "LastRefund": "amount state reason requestedAt",
        "BoundTo": "since until store",
        "Mutation": "saveAddress removeAddress visit placeOrder payOrder cancelOrder confirmReceipt requestRefund",
        "AddressRemoved": "id",
        "Visited": "store",
        "PaymentOpened": "clientSecret url",
    },
    "distributor": {
        "Query": "partner",
        "PartnerQuery": (
            "notices unreadNotices statements statement disputes payoutAccount payee node me catalogue product store "
            "stores earnings commission team orders customers refusedTouches modelStores blockSchema"
        ),
        "PartnerNode": "id",
        "CatalogueProduct": (
            "id title category tonalities audiences imageUrl brand images description lowestPrice highestPrice suggestedPrice "
            "priceTier cost earning inMyStores storesLikeMine unitsLikeMine variants"
        ),
        "MoneyRange": "lowest highest",
        "OfferedVariant": "id sku options inStock cost lowestPrice highestPrice suggestedPrice price earning",
        "LineEarning": (
            "id orderNo lineNo paidAt maturesAt storeSlug storeTitle productTitle sku quantity paid position "
            "amount clawedBack net outcome state explanation"
        ),
        "CommissionExplanation": (
            "planCode planVersion scheme base baseAmount rateBps tierBps belowBps isSameTier cost quantity paid "
            "position skipped tier beneficiaryState uncappedAmount amount outcome zeroReason clawedBack net "
            "sentence"
        ),
        "OwnStore": "id slug title region state listings shelf persona coverUrl blocks openingHours isModel at",
        "OwnListing": (
            "id price pitch position pinned regions segments disclosure listedAt isShown product history variants"
        ),
        "ListingVersion": "since until price position pitch pinned regions segments why by endReason endedBy",
        "StoreThen": "persona coverUrl blocks openingHours title region since until why",
        "BlockSchema": "version json",
        "StoreConnection": "edges pageInfo",
        "StoreEdge": "cursor node",
        "SoldOrder": (
            "parcels id orderNo state store placedAt paidAt shippedAt receivedAt completedAt cancelledAt goods "
            "discount paid freight total refunded lines phone commission"
        ),
        "Earnings": "pending available inStatement paid byDay byOrder",
        "DayEarnings": "day amount orders",
        "TeamBranch": "distributor tier state members output orders",
        "BoundCustomer": "id since until protectedUntil phone",
        "RefusedTouch": "id customer at protectedUntil shareCode sharedAt store productTitle",
        "Mutation": (
            "share selectProduct selectProducts updateListing updateListings removeListing removeListings "
            "reorderListings createStore updateStore adoptSetup"
        ),
        "ShareLink": "code",
        "ProductsSelected": "results",
        "ListingsUpdated": "results",
        "ListingRemoved": "product",
        "ListingsRemoved": "results",
    },
    "brand": {
        "Query": "brand",
        "BrandQuery": (
            "notices unreadNotices statements statement disputes payoutAccount payee name node products stores output "
            "storesWithoutSales payable supplyOrders rules rulesHistory persona imports import exports export "
            "product tiers withdrawalPreview sales salesExports salesExport"
        ),
        "BrandNode": "id",
        "SupplyOrder": "parcels id orderNo orderState store paidAt shippedAt isToShip region label lines",
        "SupplyOrderLine": "lineNo productTitle sku options quantity refundedUnits shippedUnits unitsToShip",
        "SupplyProduct": (
            "id code title category tonalities audiences imageUrl state listedIn variants images description "
            "revision reviews events"
        ),
        "PricesChanged": "changes listings",
        "PriceChangesCancelled": "changes",
        "BrandRules": "bannedWords floorBps disclosure updatedAt by",
        "PastBrandRules": "bannedWords floorBps disclosure setAt by",
        "RulesSet": "listings rules",
        "StoreWithoutSales": "store listings listedSince",
        "Payable": "balance inStatements notInStatement pending",
        "Mutation": (
            "shipParcels changePrices cancelPriceChanges setRules setPersona setAllotments importCatalogue "
            "exportCatalogue createProduct addVariants reviseProduct submitProduct takeBackProduct setStock exportSales"
        ),
        "PersonaSet": "persona",
        "ParcelsShipped": "shipped",
        "AllotmentsSet": "variants",
        "ImportRun": (
            "id name state isDryRun progress rows inserted updated warnings problems errorReport createdAt "
            "startedAt finishedAt"
        ),
        "ExportRun": "id name state withStock progress rows file createdAt startedAt finishedAt",
        "ProductRevision": "id state diff createdAt submittedAt reviewedAt reason",
        "StockSet": "results",
        "StockLevel": "id sku stock",
    },
    "finance": {
        "Query": "finance",
        "FinanceExport": (
            "id document runId startsOn endsOn format language encoding withPayees name state progress rows sha256 problem "
            "download createdAt startedAt finishedAt"
        ),
        "FinanceQuery": (
            "node runs run statement order trialBalance ledgerAccount payments stripeBreaks disputes adjustments debts "
            "writeOffs incomeOfQuarter incomeOfYear exports export payouts payoutTotals payout "
            "railBreaks railReports"
        ),
        "Mutation": (
            "settle reviewRun approveRun discardRun adjust askWriteOff approveWriteOff setWithholding setDeduction "
            "answerDispute exportRun exportPeriod startPayouts approvePayout holdPayout releasePayout retryPayout reversePayout "
            "markPaidOutside resolveBreak readReport"
        ),
        "RunSettled": "run",
        "FullPayout": (
            "id runId statementId payee amount rail state hold holdReason heldBy needsApproval createdAt createdBy approvedAt "
            "approvedBy sentAt confirmedAt reversalReason reversalAskedAt reversalAskedBy reversedAt note attempts"
        ),
        "PayoutAttempt": "number rail state key reference failure createdAt createdBy sentAt confirmedAt failedAt reversedAt proof",
        "PayoutProof": "name sha256 download",
        "PayoutTotal": "state payouts amount",
        "RailBreak": "id rail kind category reference ours theirs at ageDays resolvedAt resolvedBy reason",
        "RailReport": "id rail name sha256 startsAt endsAt state progress problem rows readAt readBy",
        "NamedPayee": "id kind code name",
        "FullAdjustment": "id amount dated reason createdAt payee createdBy statementId",
        "FullDispute": (
            "id run reason openedAt outcome answer answeredAt adjusted leftAt payee statementId openedBy answeredBy"
        ),
        "WriteOff": "id distributor amount reason createdAt createdBy approvedAt approvedBy",
        "Debt": "distributor amount",
        "QuarterIncome": "distributor withholding income withheld",
        "MonthIncome": "month income withheld incomeSoFar withheldSoFar",
        "WithholdingSet": "policy startsOn",
        "DeductionSet": "month amount",
        "FinanceNode": "id",
        "FullLedgerAccount": "id kind rail owner debits credits balance transfers",
        "Transfer": "id code amount postedAt debitAccount creditAccount source orderNo",
        "LedgerAccount": "id kind rail owner",
        "FullSettlementRun": (
            "id cutoff state createdAt distributors brands statements payOn createdBy reviewedAt reviewedBy approvedAt "
            "approvedBy discardedAt discardedBy"
        ),
        "RunTotals": "statements lines gross clawbacks net adjustments withheld debtOffset payout carryOut debtAdded",
        "FullStatement": "id run lineCount gross clawbacks adjustments withheld debtOffset net carryIn payout carryOut debtAdded payee lines adjustmentLines dispute",
        "Payee": "kind code name",
        "FullStatementLine": (
            "id kind orderNo lineNo paidAt completedAt maturesAt refundedAt store productTitle sku quantity paid "
            "position amount outcome scheme base baseAmount rateBps uncappedAmount explanation"
        ),
        "FullCommissionExplanation": (
            "planCode planVersion scheme base baseAmount rateBps tierBps belowBps isSameTier cost quantity paid "
            "position skipped tier beneficiaryState uncappedAmount amount outcome zeroReason clawedBack net "
            "sentence supply margin marginFloorBps available"
        ),
        "ExplainedOrder": (
            "orderNo state placedAt paidAt completedAt maturesAt store seller planCode planVersion paid refunded "
            "supply commission platform lines"
        ),
        "ExplainedLine": (
            "lineNo brand productTitle sku quantity unitPrice discount paid refunded supplyPrice supply "
            "commission platform commissions refunds"
        ),
        "ExplainedCommission": "id distributor explanation clawbacks",
        "CommissionClawback": "reference isReversal refundedAt amount",
        "LineRefund": "reference isReversal state refundedAt quantity amount supply",
        "TrialBalance": "debits credits accounts",
        "StripeReport": "movements counts breaks",
        "BreakCount": "kind count",
        "StripeBreak": "kind category reference ours theirs at ageDays",
    },
    "operator": {
        "DistributorConnection": "edges pageInfo",
        "DistributorEdge": "cursor node",
        "Query": "operator",
        "OperatorQuery": (
            "heldJobs node tiers distributors distributor movePreview brands stores plans plan planCheck "
            "simulatePlan order customer personalReads storeShelf storeAt products productReviews "
            "withdrawalPreview sales salesExports salesExport eliminations elimination"
        ),
        "CustomerFile": "id ref createdAt erasedAt phones contacts",
        "CustomerContact": "recipient phone",
        "PersonalRead": "id at by reader purpose reason kinds customer order",
        "HeldJob": "id name payload error attempts heldSince",
        "OperatorNode": "id",
        "BrandInUse": "id name products stores persona",
        "DistributorDetail": "id code name state tier region joinedOn parent members stores upline uplineAt history",
        "UplineMember": "id code name position tier state",
        "DistributorSpan": "from to parent tier state reason by",
        "PlanDetail": "id code version state marginFloorBps paidPositions activation from to rules document rationale",
        "PlanActivation": "at maxPaidPositions overrideReason by",
        "Rule": (
            "id scope brand category product sku scheme base levelBps levelAmounts tierBps sameTierBps depth compress"
        ),
        "TierRate": "tier bps",
        "StoreInUse": "id slug title region state isModel owner listings",
        "FullStoreThen": "persona coverUrl blocks openingHours title region since until why state by",
        "StoresCopied": "results",
        "TierInUse": "id code rank name isLeader distributors",
        "MovePreview": "members activeMembers stores ordersPlaced oldUpline newUpline changesBranch warnings refusal",
        "Error": "code message",
        "InvalidPlan": "code message problems",
        "PlanProblem": "path message",
        "MakesCycle": "code message",
        "PaysTooFar": "code message paidPositions maxPaidPositions",
        "Plan": "id code version state marginFloorBps paidPositions activation from to rules",
        "PlanCheck": "problems paidPositions maxPaidPositions rationale changes",
        "PlanChanges": "against header rules",
        "FieldChange": "field before after",
        "RuleChange": "kind scope fields",
        "Simulation": (
            "orders lines paid refunded supply commission platform tiers gaining losing unchanged winners losers"
        ),
        "SimulatedMoney": "actual simulated difference",
        "SimulatedTier": "tier distributors commission",
        "SimulatedDistributor": "id code name tier commission",
        "OrderLife": (
            "parcels id orderNo state store placedAt paidAt shippedAt receivedAt completedAt cancelledAt goods "
            "discount paid freight total refunded dueAt maturesAt seller customer phone region lines payments "
            "refunds"
        ),
        "FullOrderLine": (
            "lineNo productTitle imageUrl sku options quantity unitPrice discount paid refunded refundedUnits "
            "shippedUnits brandName supplyPrice supply unitsToShip"
        ),
        "RefundRequest": "id amount state reason reference requestedAt requestedBy",
        "Mutation": (
            "applyDistributor approveDistributor rejectDistributor suspendDistributor reinstateDistributor "
            "moveDistributor savePlan activatePlan refundOrder retryJob markModelStore copyStore approveProduct "
            "rejectProduct reinstateEliminatedDistributor exportAllSales"
        ),
        **ELIMINATIONS,
        "JobRetried": "id",
        "PlatformProduct": (
            "id brand code title category tonalities audiences images description state variants events"
        ),
        "ProductReview": "id state diff createdAt submittedAt reviewedAt reason product",
    },
}
"""By roles: type -> its fields."""


class Secret(NamedTuple):
    """Who may see it at most, and which fields tell it."""

    roles: str
    fields: str


SECRETS: dict[str, Secret] = {
    "supply price, and what follows from it: of a brand its own": Secret(
        "brand finance operator",
        "SupplyVariant.supplyPrice PriceSpan.supplyPrice PriceChange.supplyPrice BrandQuery.payable Payable.balance Payable.inStatements Payable.notInStatement "
        "Payable.pending FullOrderLine.supplyPrice FullOrderLine.supply ExplainedLine.supplyPrice ExplainedLine.supply "
        "ExplainedLine.platform ExplainedOrder.supply ExplainedOrder.platform LineRefund.supply Simulation.supply "
        "Simulation.platform FullCommissionExplanation.supply FullCommissionExplanation.margin "
        "FullCommissionExplanation.marginFloorBps FullCommissionExplanation.available Plan.marginFloorBps "
        "PlanDetail.marginFloorBps FullStatementLine.base FullStatementLine.baseAmount FullStatementLine.uncappedAmount "
        "FullCommissionExplanation.base FullCommissionExplanation.baseAmount FullCommissionExplanation.uncappedAmount",
    ),
    "what a commission is worked out from: of a distributor its own, null where it would tell a margin": Secret(
        "distributor finance operator",
        "CommissionExplanation.base CommissionExplanation.baseAmount CommissionExplanation.uncappedAmount Rule.base",
    ),
    "tier cost: of a distributor what its own tier pays, of a brand what it set itself": Secret(
        "distributor brand finance operator",
        "CatalogueProduct.cost OfferedVariant.cost CommissionExplanation.cost FullCommissionExplanation.cost TierCost.cost "
        "SupplyVariant.tierCosts PriceSpan.tierCosts PriceChange.tierCosts",
    ),
    "commissions: of a distributor its own": Secret(
        "distributor finance operator",
        "CatalogueProduct.earning OfferedVariant.earning PartnerQuery.earnings PartnerQuery.commission SoldOrder.commission "
        "Earnings.pending Earnings.available Earnings.inStatement Earnings.paid DayEarnings.amount LineEarning.amount "
        "CommissionExplanation.amount ExplainedOrder.commission ExplainedLine.commission ExplainedLine.commissions "
        "Simulation.commission SimulatedTier.commission SimulatedDistributor.commission Elimination.pending Elimination.matured",
    ),
    "what a branch sold: one total for each direct downline": Secret(
        "distributor finance operator", "PartnerQuery.team TeamBranch.output TeamBranch.orders TeamBranch.members"
    ),
    "what stores sold of a brand: its own products": Secret(
        "brand finance operator",
        "BrandQuery.output BrandQuery.stores StoreOutput.output StoreOutput.outputBefore StoreOutput.orders "
        "StoreOutput.units StoreOutput.shareBps StoreOutput.growthBps PeriodOutput.output PeriodOutput.orders "
        "PeriodOutput.units StoreWithoutSales.listings " + SALES_FIGURES,
    ),
    "who a customer is: its own": Secret(
        "customer",
        "Address.recipient Address.phone Address.street Customer.addresses Order.address Mutation.saveAddress "
        "Mutation.removeAddress",
    ),
    "who a customer is, masked on the label of a parcel": Secret(
        "customer brand",
        "OrderAddress.recipient OrderAddress.phone OrderAddress.region OrderAddress.street SupplyOrder.label",
    ),
    "who a customer is, without where it lives; each look on record": Secret(
        "operator", "CustomerFile.phones CustomerContact.recipient CustomerContact.phone OperatorQuery.personalReads"
    ),
    "all that is held of somebody: its own": Secret(
        "customer distributor brand finance operator", "Mutation.exportMyData PersonalRecord.json"
    ),
    "a customer's phone, masked": Secret("distributor operator", "SoldOrder.phone BoundCustomer.phone OrderLife.phone"),
    "statements: of a payee its own": Secret(
        "distributor brand finance operator",
        "PartnerQuery.statement PartnerQuery.statements BrandQuery.statement BrandQuery.statements Statement.net "
        "Statement.gross FinanceQuery.statement FullSettlementRun.statements FullStatement.net RunTotals.statements EliminationDetail.statements EliminationStatement.net",
    ),
    "what whoever holds it is let in by": Secret(
        EVERYBODY,
        "GuestResult.token SignedIn.accessToken SignedIn.accessTokenExpiresAt SignedIn.refreshToken Invited.token",
    ),
    "a way to another password": Secret(EVERYBODY, "Mutation.signInWithPassword Mutation.changePassword"),
    "what an order is paid by": Secret("customer", "PaymentOpened.clientSecret PaymentOpened.url"),
    "to whom money goes: its own, masked": Secret(
        "distributor brand",
        "PartnerQuery.payee BrandQuery.payee PayeeDetails.legalName PayeeDetails.identityNumber PayeeDetails.bankName "
        "PayeeDetails.bankAccount Mutation.setPayee",
    ),
    "to whom money goes, in a file of finance: in full, and on record": Secret(
        "finance",
        "FinanceExport.withPayees FinanceExport.download Mutation.exportRun Mutation.exportPeriod",
    ),
    "where somebody tells who they are, to be paid": Secret("distributor brand", "PayoutsOnboarding.url"),
}
"""What section 10 of the domain keeps from somebody, by what it is."""

WATCHED = (
    "supply margin platform payable cost costs base uncapped earning earnings commission commissions output phone "
    "recipient street address addresses label statement statements token secret password openid unionid identity bank "
    "card payee legal"
)
"""A field with one of these words in its name tells a secret, or is harmless by what is said below."""

HARMLESS = {
    "EnumValue.label": "a word for a screen",
    "BrandQuery.supplyOrders": "what it ships; no price is in it",
    "FullStatement.payee": "by code and name, as everywhere",
    "FullAdjustment.payee": "as above",
    "FullAdjustment.statementId": "an id, for finance",
    **dict.fromkeys(("FullDispute.payee", "FullPayout.payee"), "as above"),
    "FullPayout.statementId": "an id, for finance",
    "FullDispute.statementId": "an id, for finance",
    "Mutation.disputeStatement": "its own, by its id",
}

for _roles, _types in access_matrix_recruiting.MATRIX.items():
    for _type, _fields in _types.items():
        MATRIX[_roles][_type] = f"{MATRIX[_roles].get(_type, '')} {_fields}"
HARMLESS |= access_matrix_recruiting.HARMLESS
