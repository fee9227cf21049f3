# proves: process landlock
# stopped by: landlock
# The second wall alone: the kernel asks Landlock before it asks for the capability, so EACCES is
# Landlock's word and EPERM says that it has let this pass. 1, 5 is what /dev/zero is.
import stat
results = [call(133, path, stat.S_IFCHR | 0o666, os.makedev(1, 5)) for path in (b"/workspace/zero", b"/tmp/zero")]
say_all({n: r != -errno.EACCES for n, r in enumerate(results)})
