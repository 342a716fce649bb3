"""From what is wanted to what is done: plan, commands, record, and the work between them."""
