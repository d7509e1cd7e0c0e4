"""Words for a screen: what each value of each enum is called."""

from collections.abc import Mapping
from typing import Any

import strawberry

from s2b2c.api.types.fields import computed
from s2b2c.api.types.notices import Language

LABELS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "BreakKind": {
        "MISSING_HERE": ("我方缺失", "Missing here"),
        "MISSING_THERE": ("对方缺失", "Missing at Stripe"),
        "AMOUNT_DIFFERS": ("金额不符", "Amounts differ"),
    },
    "BulkRunState": {
        "WAITING": ("等待中", "Waiting"),
        "RUNNING": ("进行中", "Running"),
        "DONE": ("已完成", "Done"),
        "REFUSED": ("有错误，未导入", "Has errors, not imported"),
        "FAILED": ("出错，稍后重试", "Failed, tried again"),
    },
    "CartProblem": {
        "NOT_ON_OFFER": ("已下架", "No longer sold"),
        "PRICE_CHANGED": ("价格有变", "Price changed"),
        "OUT_OF_STOCK": ("库存不足", "Out of stock"),
    },
    "CatalogueSort": {
        "NEWEST": ("最新上架", "Newest"),
        "PRICE_UP": ("价格从低到高", "Price, low to high"),
        "PRICE_DOWN": ("价格从高到低", "Price, high to low"),
        "BEST_SELLING": ("同类店铺热销", "Best selling in stores like yours"),
    },
    "CommissionBase": {"PAID": ("实付金额", "Paid"), "MARGIN": ("毛利", "Margin")},
    "CommissionOutcome": {
        "EARNED": ("已计佣", "Earned"),
        "ZERO": ("无佣金", "None"),
        "CAPPED": ("按比例下调", "Scaled down"),
        "BLOCKED": ("不计佣", "Blocked"),
    },
    "CommissionScheme": {
        "LEVELS": ("比例", "Levels"),
        "FIXED": ("固定额", "Fixed amount"),
        "DIFFERENTIAL": ("级差", "Differential"),
        "SPREAD": ("价差", "Spread"),
    },
    "DisputeOutcome": {"ACCEPTED": ("已采纳", "Accepted"), "REJECTED": ("未采纳", "Rejected")},
    "DistributorState": {
        "APPLIED": ("待审核", "Applied"),
        "REJECTED": ("未通过", "Rejected"),
        "ACTIVE": ("正常", "Active"),
        "WATCH": ("观察中", "On watch"),
        "SUSPENDED": ("已停用", "Suspended"),
        "ELIMINATED": ("已淘汰", "Eliminated"),
    },
    "EarningState": {
        "PENDING": ("待结算", "Pending"),
        "AVAILABLE": ("可结算", "Available"),
        "IN_STATEMENT": ("已入结算单", "In a statement"),
        "PAID": ("已打款", "Paid out"),
    },
    "FileEncoding": {"UTF_8": ("通用编码 UTF-8", "UTF-8"), "GB18030": ("国标 GB18030", "GB18030")},
    "FileFormat": {"CSV": ("CSV 文本", "CSV"), "XLSX": ("Excel 表格", "Excel")},
    "FinanceDocument": {
        "STATEMENT_DETAIL": ("结算明细", "Statement detail"),
        "STATEMENT_SUMMARY": ("结算汇总", "Statement summary"),
        "BANK_BATCH": ("银行批量付款", "Bank batch"),
        "BRAND_PAYABLE": ("应付品牌", "Brand payable"),
        "WITHHOLDING_REPORT": ("涉税信息报送", "Withholding report"),
        "LEDGER_JOURNAL": ("日记账", "Ledger journal"),
    },
    "FinanceExportState": {
        "WAITING": ("等待中", "Waiting"),
        "RUNNING": ("进行中", "Running"),
        "DONE": ("已完成", "Done"),
        "REFUSED": ("无法导出", "Cannot be written"),
        "FAILED": ("出错，稍后重试", "Failed, tried again"),
    },
    "Language": {"ZH": ("中文", "Chinese"), "EN": ("英文", "English")},
    "LeftOutReason": {"NOT_ON_OFFER": ("已下架", "Not on offer"), "NO_PRICE_FITS": ("无可用售价", "No price fits")},
    "LedgerAccountKind": {
        "CLEARING": ("支付清算", "Clearing"),
        "ESCROW": ("待分账", "Escrow"),
        "REVENUE": ("平台收入", "Platform revenue"),
        "BRAND_PAYABLE": ("应付品牌方", "Brand payable"),
        "COMMISSION_PAYABLE": ("应付佣金", "Commission payable"),
        "TAX_PAYABLE": ("应交代扣税", "Tax payable"),
        "IN_TRANSIT": ("打款在途", "In transit"),
        "DEBT": ("分销商欠款", "Debt"),
        "WRITE_OFF": ("坏账核销", "Written off"),
    },
    "ListingEnd": {
        "REMOVED": ("店主下架", "Removed"),
        "NO_PRICE_FITS": ("无可用售价", "No price fits"),
        "PRODUCT_WITHDRAWN": ("商品下架", "Product withdrawn"),
    },
    "ListingWhy": {
        "IMPORTED": ("导入", "Imported"),
        "SELECTED": ("选品", "Chosen"),
        "CHANGED": ("店主修改", "Changed"),
        "REORDERED": ("调整顺序", "Moved"),
        "COPIED": ("复制店铺", "Copied"),
        "CLAMPED": ("限价调整", "Repriced by its band"),
        "WORDS_REMOVED": ("文案清空", "Words removed"),
    },
    "MoveWarning": {
        "PARENT_BELOW": ("新上级的层级更低", "The new parent's tier is lower"),
        "ORDERS_PLACED": ("有待付款订单", "Orders wait for payment"),
    },
    "NotSelectableReason": {
        "NOT_LISTED": ("品牌未供货", "Not offered"),
        "NOTHING_TO_SELL": ("没有规格", "No variants"),
        "NO_COST_FOR_YOUR_TIER": ("你的层级没有拿货价", "No cost for your tier"),
        "NO_PRICE_FITS": ("没有可用的售价", "No price fits"),
    },
    "OrderState": {
        "PLACED": ("待付款", "Awaiting payment"),
        "PAID": ("待发货", "Paid"),
        "SHIPPED": ("已发货", "Shipped"),
        "RECEIVED": ("已收货", "Received"),
        "COMPLETED": ("已完成", "Completed"),
        "CANCELLED": ("已取消", "Cancelled"),
    },
    "PayeeKind": {"DISTRIBUTOR": ("分销商", "Distributor"), "BRAND": ("品牌方", "Brand")},
    "PaymentMethod": {"INTENT": ("店内支付", "On our page"), "CHECKOUT": ("Stripe 收银台", "Stripe Checkout")},
    "PaymentState": {
        "OPENING": ("正在发起", "Opening"),
        "OPEN": ("待付款", "Open"),
        "SUCCEEDED": ("支付成功", "Succeeded"),
        "CANCELLED": ("已取消", "Cancelled"),
    },
    "PayoutHold": {
        "SUSPENDED": ("账号已停用", "Suspended"),
        "NO_ACCOUNT": ("未登记收款账户", "No account to pay into"),
        "PERSON": ("财务暂缓", "Held by finance"),
    },
    "PayoutRail": {
        "STRIPE": ("Stripe 转账", "Stripe"),
        "BANK": ("银行代付", "Bank"),
        "OUTSIDE": ("线下付款", "Outside"),
    },
    "PayoutState": {
        "PENDING": ("待打款", "Pending"),
        "SENDING": ("打款中", "Sending"),
        "UNKNOWN": ("待核实", "Unknown"),
        "SENT": ("已发出", "Sent"),
        "CONFIRMED": ("已到账", "Confirmed"),
        "FAILED": ("失败", "Failed"),
        "REVERSED": ("已退回", "Reversed"),
    },
    "PersonalDataKind": {
        "PHONE": ("手机号", "Phone"),
        "OPENID": ("微信标识", "WeChat id"),
        "UNIONID": ("微信统一标识", "WeChat union id"),
        "RECIPIENT": ("收件人", "Recipient"),
        "REGION": ("所在地区", "Region"),
        "STREET": ("详细地址", "Street"),
        "LEGAL_NAME": ("收款人姓名", "Legal name"),
        "IDENTITY_NUMBER": ("证件号码", "Identity number"),
        "BANK_ACCOUNT": ("银行账号", "Bank account"),
    },
    "PlanState": {"DRAFT": ("草稿", "Draft"), "ACTIVE": ("已生效", "Active")},
    "PriceTier": {
        "ENTRY": ("50 元以下", "Under 50 yuan"),
        "VALUE": ("50–100 元", "From 50 to 100 yuan"),
        "MIDDLE": ("100–300 元", "From 100 to 300 yuan"),
        "PREMIUM": ("300–1000 元", "From 300 to 1,000 yuan"),
        "LUXURY": ("1000 元以上", "From 1,000 yuan"),
    },
    "PriceBound": {"BAND": ("限价", "Band"), "COST": ("拿货价", "Your cost"), "FLOOR": ("品牌底价", "Brand's floor")},
    "PriceChangeRefusal": {"PRODUCT_DELISTED": ("商品已下架", "Product delisted")},
    "PriceChangeState": {
        "WAITING": ("待生效", "Waiting"),
        "APPLIED": ("已生效", "Applied"),
        "CANCELLED": ("已取消", "Cancelled"),
        "REFUSED": ("未生效", "Not applied"),
    },
    "ProductEventKind": {
        "CREATED": ("已创建", "Created"),
        "SUBMITTED": ("已提交审核", "Submitted"),
        "TAKEN_BACK": ("已撤回", "Taken back"),
        "APPROVED": ("审核通过", "Approved"),
        "REJECTED": ("审核未通过", "Rejected"),
        "LISTED": ("已上架", "Listed"),
        "WITHDRAWN": ("已撤架", "Withdrawn"),
    },
    "ProductField": {
        "TITLE": ("标题", "Title"),
        "CATEGORY": ("类目", "Category"),
        "TONALITIES": ("调性", "Tonalities"),
        "AUDIENCES": ("人群", "Audiences"),
        "IMAGES": ("图片", "Pictures"),
        "DESCRIPTION": ("商品描述", "Description"),
    },
    "ProductState": {
        "DRAFT": ("草稿", "Draft"),
        "IN_REVIEW": ("审核中", "In review"),
        "LISTED": ("已上架", "Listed"),
        "DELISTED": ("已下架", "Delisted"),
    },
    "RailBreakKind": {
        "MISSING_HERE": ("我方缺失", "Missing here"),
        "MISSING_THERE": ("对方缺失", "Missing there"),
        "AMOUNT_DIFFERS": ("金额不符", "Amounts differ"),
        "STATE_DIFFERS": ("状态不符", "States differ"),
        "DUPLICATE": ("重复付款", "Paid twice"),
    },
    "RailReportState": {
        "WAITING": ("等待中", "Waiting"),
        "RUNNING": ("进行中", "Running"),
        "DONE": ("已完成", "Done"),
        "REFUSED": ("文件有误", "Refused"),
        "FAILED": ("出错，稍后重试", "Failed, tried again"),
    },
    "ReadPurpose": {
        "SHIPPING": ("发货", "Shipping"),
        "ORDER": ("查看订单", "Order"),
        "SUPPORT": ("客服查询", "Support"),
        "PAYOUT": ("打款", "Payout"),
        "EXPORT": ("导出个人数据", "Export"),
        "ERASURE": ("删除个人数据", "Erasure"),
    },
    "RefundRequestState": {
        "SENDING": ("退款提交中", "Sending"),
        "SENT": ("退款中", "Sent"),
        "SUCCEEDED": ("退款成功", "Succeeded"),
        "FAILED": ("退款失败", "Failed"),
    },
    "RefundState": {"WAITING": ("待付款到账", "Waiting for the payment"), "APPLIED": ("已退款", "Applied")},
    "ReportingRail": {
        "STRIPE": ("Stripe 对账单", "Stripe"),
        "BANK": ("银行回盘", "Bank"),
    },
    "RevisionState": {
        "DRAFT": ("草稿", "Draft"),
        "IN_REVIEW": ("审核中", "In review"),
        "APPROVED": ("已通过", "Approved"),
        "REJECTED": ("未通过", "Rejected"),
        "WITHDRAWN": ("已撤回", "Taken back"),
    },
    "Role": {
        "CUSTOMER": ("消费者", "Customer"),
        "DISTRIBUTOR": ("分销商", "Distributor"),
        "BRAND": ("品牌方", "Brand"),
        "FINANCE": ("财务", "Finance"),
        "OPERATOR": ("平台运营", "Operator"),
    },
    "RuleChangeKind": {"ADDED": ("新增", "Added"), "REMOVED": ("删除", "Removed"), "CHANGED": ("修改", "Changed")},
    "RuleScope": {
        "VARIANT": ("规格", "Variant"),
        "PRODUCT": ("商品", "Product"),
        "CATEGORY": ("类目", "Category"),
        "BRAND": ("品牌", "Brand"),
        "EVERYTHING": ("全部商品", "Everything"),
    },
    "RunState": {
        "DRAFT": ("草稿", "Draft"),
        "REVIEWED": ("已复核", "Reviewed"),
        "APPROVED": ("已审批", "Approved"),
        "PAYING": ("打款中", "Paying"),
        "PAID": ("已打款", "Paid"),
        "DISCARDED": ("已作废", "Discarded"),
    },
    "Segment": {"NEW": ("新客", "New"), "RETURNING": ("老客", "Returning"), "BOUND": ("锁客", "Bound to you")},
    "SendingRail": {
        "STRIPE": ("Stripe 转账", "Stripe"),
        "BANK": ("银行代付", "Bank"),
    },
    "Span": {"DAY": ("日", "Day"), "WEEK": ("周", "Week"), "MONTH": ("月", "Month")},
    "StatementLineKind": {
        "COMMISSION": ("佣金", "Commission"),
        "CLAWBACK": ("佣金回收", "Clawback"),
        "SUPPLY": ("供货款", "Supply"),
        "RETURN": ("供货款退回", "Return"),
    },
    "StoreChange": {
        "IMPORTED": ("导入", "Imported"),
        "EDITED": ("店主修改", "Edited"),
        "COPIED": ("标杆复制", "Copied"),
    },
    "StorePart": {
        "DECORATION": ("装修", "Decoration"),
        "HOURS": ("营业时间", "Opening hours"),
        "LISTINGS": ("选品", "Listings"),
    },
    "StoreSort": {
        "OUTPUT": ("产值", "Output"),
        "ORDERS": ("订单数", "Orders"),
        "UNITS": ("件数", "Units"),
        "TREND": ("产值增长", "Trend"),
    },
    "StoreState": {"OPEN": ("营业中", "Open"), "CLOSED": ("已关闭", "Closed")},
    "SupplyOrderState": {"TO_SHIP": ("待发货", "To ship"), "SHIPPED": ("已发货", "Shipped"), "ALL": ("全部", "All")},
    "TouchSide": {"REFUSED": ("未锁定", "Not won"), "HELD": ("已保住", "Held")},
    "TransferCode": {
        "PAYMENT": ("订单付款", "Payment"),
        "FREIGHT": ("运费", "Freight"),
        "SUPPLY": ("供货款", "Supply"),
        "COMMISSION": ("佣金", "Commission"),
        "REVENUE": ("平台收入", "Platform revenue"),
        "SUBSIDY": ("平台补贴", "Platform subsidy"),
        "REFUND": ("退款", "Refund"),
        "FREIGHT_REFUND": ("运费退回", "Freight refunded"),
        "SUPPLY_RETURN": ("供货款退回", "Supply returned"),
        "CLAWBACK": ("佣金回收", "Clawback"),
        "REVENUE_RETURN": ("平台收入退回", "Revenue returned"),
        "ADJUSTMENT": ("调整", "Adjustment"),
        "WITHHOLDING": ("代扣税", "Withholding"),
        "DEBT": ("转为欠款", "Debt"),
        "DEBT_OFFSET": ("抵扣欠款", "Debt offset"),
        "WRITE_OFF": ("核销", "Written off"),
        "PAYOUT": ("打款", "Payout"),
        "PAYOUT_SENT": ("打款确认", "Payout confirmed"),
        "PAYOUT_RETURNED": ("打款退回", "Payout returned"),
    },
    "TransferSource": {
        "ORDER": ("订单", "Order"),
        "REFUND": ("退款", "Refund"),
        "ADJUSTMENT": ("调整单", "Adjustment"),
        "STATEMENT": ("结算单", "Statement"),
        "WRITE_OFF": ("核销单", "Write-off"),
        "PAYOUT": ("打款", "Payout"),
    },
    "TransferState": {
        "INACTIVE": ("未开通", "Inactive"),
        "PENDING": ("审核中", "Pending"),
        "ACTIVE": ("已开通", "Active"),
    },
    "Withholding": {
        "NONE": ("不代扣", "None"),
        "BUSINESS": ("对公开票", "Invoices us"),
        "CN_LABOUR_CUMULATIVE": ("劳务报酬累计预扣", "Cumulative, labour"),
    },
    "WordsRule": {"BANNED_WORD": ("禁用词", "Banned word"), "DISCLOSURE": ("必须声明", "Disclosure")},
    "ZeroReason": {
        "NO_RATE": ("规则未给该位置或层级", "No rate"),
        "TOO_SMALL": ("不足一分", "Below one fen"),
        "NOT_ABOVE": ("不高于下级", "Not above those below"),
        "SAME_TIER_GIVEN": ("平级奖已发", "Same-tier bonus given"),
        "UNKNOWN_COST": ("该层级没有拿货价", "No cost for the tier"),
        "BELOW_COST": ("售价不高于拿货价", "Sold at or below cost"),
    },
}
"""(Chinese, English), by enum and value. They belong to the schema: a front end reads them once."""


def _label(root: strawberry.Parent[Any], language: Language = Language.ZH) -> str:
    _, (chinese, english) = root
    return str(chinese if language is Language.ZH else english)


@strawberry.type(description="A value of an enum, and what a screen calls it.")
class EnumValue:
    name: str = computed(lambda value: value[0], description="As it stands in the schema.")
    label: str = strawberry.field(resolver=_label, description="A word or two.")


@strawberry.type(description="An enum of this schema.")
class EnumLabels:
    name: str = computed(lambda enum: enum[0], description="As it stands in the schema.")
    values: list[EnumValue] = computed(lambda enum: list(enum[1].items()), description="In the order of the schema.")
