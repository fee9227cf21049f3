# proves: mounts root.tmpfs ro
# stopped by: root_read_only
# In the root itself. What lies below /usr is an overlay without an upper layer besides, which no
# mount flag makes writable. As root's run the root belongs to an id that the run does not have, so
# its mode still refuses once the mount does not (EACCES instead of EROFS); rootless, nothing else
# does. What is proved is the mount, which is the wall that holds when a mode is wrong.
try:
    os.mkdir("/planted")
    answer = 0
except OSError as refusal:
    answer = -refusal.errno
writable = not os.statvfs("/").f_flag & os.ST_RDONLY
say(answer != -errno.EROFS and writable, f"mkdir: {name(answer)}, mounted writable: {writable}")
