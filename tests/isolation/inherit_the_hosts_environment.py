# proves: process environment
# stopped by: environment
# XDG_CONFIG_HOME, which the supervisor itself sees, holds a word that nothing else does.
secrets = [key for key, value in os.environ.items() if "secret-of-the-host" in value]
say(bool(secrets), f"{secrets} of {sorted(os.environ)}")
