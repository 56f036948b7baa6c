"""What IOS writes and reads: the command grammar, configuration, shows, debug text."""
