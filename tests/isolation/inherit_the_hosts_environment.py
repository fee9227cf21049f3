# proves: process environment
# stopped by: environment
# HOST_WITNESS is set where primcs is started.
say("HOST_WITNESS" in os.environ, f"{sorted(os.environ)}")
