# proves: mounts / ro
# stopped by: root_read_only
# The files belong to an id that the run does not have, so modes still refuse once the mount does
# not (EACCES instead of EROFS). What is proved is the mount, which is the wall that holds when a
# mode is wrong.
try:
    os.mkdir("/usr/planted")
    answer = 0
except OSError as refusal:
    answer = -refusal.errno
writable = not os.statvfs("/usr").f_flag & os.ST_RDONLY
say(answer != -errno.EROFS and writable, f"mkdir: {name(answer)}, mounted writable: {writable}")
