"""What a hostile or broken producer can do to others: every attempt, and the table of them at the end."""
