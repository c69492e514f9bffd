"""``python -m agentjobs``."""

from agentjobs.cli import main

if __name__ == "__main__":
    main()
