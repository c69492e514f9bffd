"""``python -m agentjobs``."""

from agentjobs.cli.main import main

if __name__ == "__main__":
    main()
