"""The door of whoever runs the network."""

import strawberry


@strawberry.type(description="What the operator sees.")
class OperatorQuery:
    role: str
