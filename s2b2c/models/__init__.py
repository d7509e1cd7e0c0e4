"""The tables, one file per subject."""

from s2b2c.models import closing  # noqa: F401  it hooks what is created with the tables
from s2b2c.models.accounts import (
    Account,
    Identity,
    Invitation,
    Membership,
    OneTimeCode,
    Person,
    RateLimit,
    RefreshToken,
    Session,
)
from s2b2c.models.catalogue import (
    Allotment,
    Brand,
    BrandRules,
    BrandRulesHistory,
    Price,
    Product,
    ScheduledPrice,
    Variant,
)
from s2b2c.models.commissions import Clawback, Commission, Plan, Rule
from s2b2c.models.customers import Address, Binding, Customer, RefusedTouch, ShareLink
from s2b2c.models.exports import FinanceExport, SalesExport
from s2b2c.models.files import BulkRun, File
from s2b2c.models.jobs import Job, JobLog
from s2b2c.models.ledger import LedgerAccount, LedgerCheckpoint, LedgerHorizon, Transfer
from s2b2c.models.network import Distributor, DistributorHistory, Tier
from s2b2c.models.notices import Notice
from s2b2c.models.offboarding import Elimination, EliminationBinding, EliminationMove, EliminationStore
from s2b2c.models.orders import (
    Claim,
    LineAllotment,
    Order,
    OrderAddress,
    OrderBatch,
    OrderLine,
    OrderToAdd,
    Refund,
    RefundBatch,
    RefundLine,
    Shipment,
    ShipmentLine,
    SupplyOrder,
)
from s2b2c.models.payees import Payee
from s2b2c.models.payments import Payment, RefundRequest, StripeAccount, StripeEvent
from s2b2c.models.payouts import Payout, PayoutAttempt
from s2b2c.models.privacy import PersonalRead
from s2b2c.models.products import ProductEvent, ProductRevision
from s2b2c.models.ranking import RankingExemption, RankingPolicy, RankingRun, RankingScore
from s2b2c.models.reconciliation import RailBreak, RailReport
from s2b2c.models.recruiting import RecruitingCode, Seat, SeatApplication, SeatApplicationEvent
from s2b2c.models.rollups import DailyBrand, DailyCustomer, DailyProduct, DailySeller
from s2b2c.models.selecting import CohortCount, CohortProduct, SelectableProduct, StaleProduct
from s2b2c.models.settlements import (
    Adjustment,
    Dispute,
    SettlementRun,
    Statement,
    TaxBracket,
    TaxDeduction,
    WithholdingPolicy,
    WriteOff,
)
from s2b2c.models.stores import Listing, ListingHistory, Store, StoreHistory
from s2b2c.models.tail import TailCase, TailStep

__all__ = [
    "Account",
    "Address",
    "Adjustment",
    "Allotment",
    "Binding",
    "Brand",
    "BrandRules",
    "BrandRulesHistory",
    "BulkRun",
    "Claim",
    "Clawback",
    "CohortCount",
    "CohortProduct",
    "Commission",
    "Customer",
    "DailyBrand",
    "DailyCustomer",
    "DailyProduct",
    "DailySeller",
    "Dispute",
    "Distributor",
    "DistributorHistory",
    "Elimination",
    "EliminationBinding",
    "EliminationMove",
    "EliminationStore",
    "File",
    "FinanceExport",
    "Identity",
    "Invitation",
    "Job",
    "JobLog",
    "LedgerAccount",
    "LedgerCheckpoint",
    "LedgerHorizon",
    "LineAllotment",
    "Listing",
    "ListingHistory",
    "Membership",
    "Notice",
    "OneTimeCode",
    "Order",
    "OrderAddress",
    "OrderBatch",
    "OrderLine",
    "OrderToAdd",
    "Payee",
    "Payment",
    "Payout",
    "PayoutAttempt",
    "Person",
    "PersonalRead",
    "Plan",
    "Price",
    "Product",
    "ProductEvent",
    "ProductRevision",
    "RailBreak",
    "RailReport",
    "RankingExemption",
    "RankingPolicy",
    "RankingRun",
    "RankingScore",
    "RateLimit",
    "RecruitingCode",
    "RefreshToken",
    "Refund",
    "RefundBatch",
    "RefundLine",
    "RefundRequest",
    "RefusedTouch",
    "Rule",
    "SalesExport",
    "ScheduledPrice",
    "Seat",
    "SeatApplication",
    "SeatApplicationEvent",
    "SelectableProduct",
    "Session",
    "SettlementRun",
    "ShareLink",
    "Shipment",
    "ShipmentLine",
    "StaleProduct",
    "Statement",
    "Store",
    "StoreHistory",
    "StripeAccount",
    "StripeEvent",
    "SupplyOrder",
    "TailCase",
    "TailStep",
    "TaxBracket",
    "TaxDeduction",
    "Tier",
    "Transfer",
    "Variant",
    "WithholdingPolicy",
    "WriteOff",
]
