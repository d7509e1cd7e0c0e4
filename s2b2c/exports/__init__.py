"""Files for finance and brands: the documents of settlement as CSV or XLSX, and a catalogue that can be imported again.
Amounts are fen in, yuan out."""

from s2b2c.exports.catalogue import export_catalogue
from s2b2c.exports.cells import Encoding, ExportError, Format, not_a_formula
from s2b2c.exports.documents import NEEDS_PAYEES, OF_A_PERIOD, OF_A_RUN, Document
from s2b2c.exports.sales import SalesReport, SalesWanted, SalesWritten, check_sales, named_scope, write_sales
from s2b2c.exports.words import Language
from s2b2c.exports.writing import Exported, Wanted, check, export_document, write_document

__all__ = [
    "NEEDS_PAYEES",
    "OF_A_PERIOD",
    "OF_A_RUN",
    "Document",
    "Encoding",
    "ExportError",
    "Exported",
    "Format",
    "Language",
    "SalesReport",
    "SalesWanted",
    "SalesWritten",
    "Wanted",
    "check",
    "check_sales",
    "export_catalogue",
    "export_document",
    "named_scope",
    "not_a_formula",
    "write_document",
    "write_sales",
]
