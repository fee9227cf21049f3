# proves: process privilege no_new_privs
# stopped by: no_new_privs + seccomp + landlock
# Without no_new_privs the kernel lets nobody unprivileged load a filter or a Landlock domain, so
# the three can only go together.
say(status("NoNewPrivs") != "1", f"NoNewPrivs {status('NoNewPrivs')}")
