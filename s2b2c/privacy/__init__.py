"""Personal data: who has read it, what we hold of somebody, and how somebody is erased.

trail       who has read what of whom: written with the read, or there is no read
looking_up  customers, for whoever runs the network
holdings    all that we hold of a person
erasure     the person goes, what was bought and earned stays
"""

from s2b2c.privacy.erasure import Proof, erase, erase_me
from s2b2c.privacy.holdings import Holder, Record, as_json, holder_of, holdings, write_holdings
from s2b2c.privacy.looking_up import Found, Wanted, look_up
from s2b2c.privacy.trail import Look, Read, Reader, read, reads, record, those

__all__ = [
    "Found",
    "Holder",
    "Look",
    "Proof",
    "Read",
    "Reader",
    "Record",
    "Wanted",
    "as_json",
    "erase",
    "erase_me",
    "holder_of",
    "holdings",
    "look_up",
    "read",
    "reads",
    "record",
    "those",
    "write_holdings",
]
