"""What hosts a production variant."""
