"""GraphQL types, one file per subject, shared by the doors."""
