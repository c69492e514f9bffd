"""Git and worktrees: one way to run git, snapshots, trees, spare trees, clones, the target branch."""
