"""What clients see."""
