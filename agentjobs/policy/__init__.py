"""agentjobs.toml as frozen types, presets included; errors name their line."""
