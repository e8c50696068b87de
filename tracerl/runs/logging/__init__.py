"""What a run logs while it goes on."""
