# proves: seccomp-run deny open_tree
# stopped by: seccomp:open_tree + capabilities
# A detached copy of a mount can have its flags changed where nobody sees it.
OPEN_TREE_CLONE = 1
result = call(428, -100, b"/tmp", OPEN_TREE_CLONE)
say(result >= 0, f"open_tree: {name(result)}")
