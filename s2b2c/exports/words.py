"""What stands in documents in Chinese and in English: headings, and words for what the database knows by a code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from s2b2c.models.exports import DOCUMENTS

Language = Literal["zh", "en"]


@dataclass(frozen=True, slots=True)
class Words:
    headings: Mapping[str, Sequence[str]]
    """By document."""
    payee_headings: Sequence[str]
    """Of what a document holds only where it is asked for."""
    measures: Mapping[str, str]
    """What is counted and added up at the foot."""
    codes: Mapping[str, str]
    """For the cells: kinds of payees, outcomes, policies; codes, sources and accounts of the ledger."""
    control: str
    total: str
    not_told: str
    """Those who have not said to whom their money goes."""


def _by_document(*headings: str) -> dict[str, list[str]]:
    """In the order of `DOCUMENTS`, a text with commas each."""
    return {document: text.split(",") for document, text in zip(DOCUMENTS, headings, strict=True)}


WORDS: Mapping[Language, Words] = {
    "zh": Words(
        headings=_by_document(
            "收款方类型,收款方编号,收款方名称,结算单,订单号,支付时间,完成时间,到期时间,店铺,行号,商品,SKU,数量,实付（元）,"
            "上级位次,计佣基数（元）,比例（万分之）,金额（元）,金额（分）,说明",
            "收款方类型,收款方编号,收款方名称,结算单,结算批次,截止时间,付款日,行数,应计（元）,退款收回（元）,调整（元）,代扣政策,代扣税款（元）,"
            "期初欠款（元）,抵扣欠款（元）,净额（元）,上期结转（元）,应付（元）,结转下期（元）,新增欠款（元）,应付（分）",
            "收款方类型,收款方编号,收款方名称,结算单,付款日,付款附言,金额（元）,金额（分）",
            "品牌,品牌名称,结算批次,结算单,截止时间,付款日,订单数,件数,供货款（元）,退货退回（元）,调整（元）,净额（元）,上期结转（元）,"
            "应付（元）,结转下期（元）,应付（分）",
            "平台内编号,平台内名称,所属期,末次结算单,结算单数,代扣政策,收入总额（元）,退款金额（元）,调整（元）,收入净额（元）,代扣税款（元）,"
            "收入净额（分）,代扣税款（分）",
            "时间,分支,凭证号,业务,来源,来源编号,借方科目,借方对象,贷方科目,贷方对象,金额（元）,金额（分）",
        ),
        payee_headings=("收款人", "证件号码", "开户银行", "银行账号"),
        measures={
            "statements": "结算单数",
            "rows": "行数",
            "transfers": "笔数",
            "payouts": "笔数",
            "amount": "金额（元）",
            "amount_fen": "金额（分）",
            "gross": "应计（元）",
            "clawbacks": "退款收回（元）",
            "adjustments": "调整（元）",
            "withheld": "代扣税款（元）",
            "withheld_fen": "代扣税款（分）",
            "debt_offset": "抵扣欠款（元）",
            "net": "净额（元）",
            "carry_in": "上期结转（元）",
            "payout": "应付（元）",
            "payout_fen": "应付（分）",
            "carry_out": "结转下期（元）",
            "debt_added": "新增欠款（元）",
            "income": "收入净额（元）",
            "income_fen": "收入净额（分）",
            "persons": "人数",
        },
        codes={
            "distributor": "分销商",
            "brand": "品牌",
            "earned": "已计佣",
            "zero": "不足一分",
            "capped": "受毛利底线限制",
            "blocked": "已停用，归平台",
            "clawback": "退款回收佣金",
            "supply": "供货款",
            "return": "退款退回供货款",
            "adjustment": "调整",
            "colon": "：",
            "none": "不代扣",
            "business": "开票经营者",
            "cn_labour_cumulative": "劳务报酬累计预扣",
            "code payment": "收款",
            "code freight": "运费",
            "code supply": "供货款",
            "code commission": "佣金",
            "code revenue": "平台收入",
            "code subsidy": "平台补贴",
            "code refund": "退款",
            "code freight_refund": "退运费",
            "code supply_return": "供货款退回",
            "code clawback": "佣金回收",
            "code revenue_return": "平台收入退回",
            "code adjustment": "调整",
            "code withholding": "代扣税款",
            "code debt": "转为欠款",
            "code debt_offset": "抵扣欠款",
            "code write_off": "核销",
            "code payout": "付款",
            "code payout_sent": "付款到账",
            "code payout_returned": "付款退回",
            "source order": "订单",
            "source refund": "退款单",
            "source adjustment": "调整单",
            "source statement": "结算单",
            "source write_off": "核销单",
            "source payout": "付款单",
            "account clearing": "支付通道",
            "account escrow": "待结算",
            "account revenue": "平台收入",
            "account brand_payable": "应付品牌",
            "account commission_payable": "应付佣金",
            "account tax_payable": "应交税款",
            "account in_transit": "在途付款",
            "account debt": "分销商欠款",
            "account write_off": "坏账",
        },
        control="控制合计",
        total="合计",
        not_told="未登记收款人",
    ),
    "en": Words(
        headings=_by_document(
            "Payee kind,Payee code,Payee name,Statement,Order no,Paid at,Completed at,Matures at,Store,Line,Product,"
            "SKU,Quantity,Paid (yuan),Position,Base (yuan),Rate (bps),Amount (yuan),Amount (fen),Outcome",
            "Payee kind,Payee code,Payee name,Statement,Run,Cutoff,Pay on,Lines,Gross (yuan),Clawbacks (yuan),"
            "Adjustments (yuan),Withholding,Withheld (yuan),Debt before (yuan),Debt paid off (yuan),Net (yuan),"
            "Carried in (yuan),Payout (yuan),Carried out (yuan),Debt added (yuan),Payout (fen)",
            "Payee kind,Payee code,Payee name,Statement,Pay on,Reference,Amount (yuan),Amount (fen)",
            "Brand,Brand name,Run,Statement,Cutoff,Pay on,Orders,Units,Supply (yuan),Returns (yuan),"
            "Adjustments (yuan),Net (yuan),Carried in (yuan),Payout (yuan),Carried out (yuan),Payout (fen)",
            "Code,Name,Period,Last statement,Statements,Withholding,Gross income (yuan),Refunds (yuan),"
            "Adjustments (yuan),Net income (yuan),Withheld (yuan),Net income (fen),Withheld (fen)",
            "Time,Branch,Transfer,Code,Source,Source no,Debit account,Debit owner,Credit account,Credit owner,"
            "Amount (yuan),Amount (fen)",
        ),
        payee_headings=("Legal name", "Identity number", "Bank", "Bank account"),
        measures={
            "statements": "Statements",
            "rows": "Lines",
            "transfers": "Transfers",
            "payouts": "Payouts",
            "amount": "Amount (yuan)",
            "amount_fen": "Amount (fen)",
            "gross": "Gross (yuan)",
            "clawbacks": "Clawbacks (yuan)",
            "adjustments": "Adjustments (yuan)",
            "withheld": "Withheld (yuan)",
            "withheld_fen": "Withheld (fen)",
            "debt_offset": "Debt paid off (yuan)",
            "net": "Net (yuan)",
            "carry_in": "Carried in (yuan)",
            "payout": "Payout (yuan)",
            "payout_fen": "Payout (fen)",
            "carry_out": "Carried out (yuan)",
            "debt_added": "Debt added (yuan)",
            "income": "Net income (yuan)",
            "income_fen": "Net income (fen)",
            "persons": "Persons",
        },
        codes={
            "distributor": "Distributor",
            "brand": "Brand",
            "earned": "earned",
            "zero": "less than a fen",
            "capped": "capped by the margin floor",
            "blocked": "blocked, stays with the platform",
            "clawback": "taken back by a refund",
            "supply": "supply",
            "return": "taken back by a refund",
            "adjustment": "adjustment",
            "colon": ": ",
            "none": "none",
            "business": "invoices us",
            "cn_labour_cumulative": "labour, cumulative",
            "code payment": "payment",
            "code freight": "freight",
            "code supply": "supply",
            "code commission": "commission",
            "code revenue": "revenue",
            "code subsidy": "subsidy",
            "code refund": "refund",
            "code freight_refund": "freight refund",
            "code supply_return": "supply return",
            "code clawback": "clawback",
            "code revenue_return": "revenue return",
            "code adjustment": "adjustment",
            "code withholding": "withholding",
            "code debt": "debt",
            "code debt_offset": "debt paid off",
            "code write_off": "write-off",
            "code payout": "payout",
            "code payout_sent": "payout sent",
            "code payout_returned": "payout returned",
            "source order": "order",
            "source refund": "refund",
            "source adjustment": "adjustment",
            "source statement": "statement",
            "source write_off": "write-off",
            "source payout": "payout",
            "account clearing": "clearing",
            "account escrow": "escrow",
            "account revenue": "revenue",
            "account brand_payable": "brand payable",
            "account commission_payable": "commission payable",
            "account tax_payable": "tax payable",
            "account in_transit": "in transit",
            "account debt": "debt",
            "account write_off": "write-off",
        },
        control="Control totals",
        total="Total",
        not_told="No payee told",
    ),
}
