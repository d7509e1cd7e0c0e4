"""Who sees what of those who have left: rows of access_matrix.py, of the operator alone."""

ELIMINATIONS = {
    "Elimination": "id distributor at reason by stateBefore home members downlines customers stores sessions pending matured debt reinstatedAt reinstateReason reinstatedBy",
    "EliminationDetail": "id distributor at reason by stateBefore home members downlines customers stores sessions pending matured debt reinstatedAt reinstateReason reinstatedBy closedStores movedDownlines statements",
    "ClosedStore": "id slug title region isOpen movedTo",
    "MovedDownline": "id code name state parent isBack",
    "EliminationStatement": "id cutoff state net payout isFinal",
}
