"""What an agent receives: its prompt with all sections, its handoffs, its environment, its command line."""
