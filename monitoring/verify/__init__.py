"""What outsiders verify with, standing alone: nothing here imports the rest of Baray."""
