"""The words of agentjobs as frozen types: errors, tasks, steps, outcomes, facts, actions. No logic."""
