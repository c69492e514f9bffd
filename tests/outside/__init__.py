"""The real CLIs, the newest of the registries, against a second mock model whose words come from real reports.

``tests.kit.mockmodel`` and the presets were written by the same hands, so they may share a mistake. What is here knows
neither: ``scenarios`` has the wordings with the report each one is from, ``mock`` says them, ``drive`` runs the real
dispatch and poll loop over it and prints one row a scenario.
"""
