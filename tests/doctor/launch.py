# Starts a program on a host that lacks something: launch.py CHANGE... -- PROGRAM ARGUMENT...
# Changes, made in this order, in this process and its children alone:
#   cover=PATH        an empty file or folder over it      text=PATH:TEXT  a file with this text over it
#   folder=PATH:FILE=TEXT,...  a folder with just these    tmpfs=PATH:SIZE  an empty file system of a size
#   read_only=PATH    all that is mounted there and below  umount=PATH
#   core=N            hard limit of core dumps             user=ID         become this plain user
#   no_user_namespaces      user.max_user_namespaces = 0, in a user namespace around the program
#   container=NAME    what NAME's containers say of themselves, and a namespace that is not the host's
#   unit              as if systemd had started the program itself
#   write=LENGTH:ERRNO           a write of just so many bytes fails so
#   errno=NUMBER:ERRNO[:FLAGS]   a system call fails so; with FLAGS only when its first argument has one
import ctypes
import os
import resource
import struct
import sys

NEW_NS, NEW_IPC, NEW_USER = 0x20000, 0x8000000, 0x10000000
WRITE = 1
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
libc = ctypes.CDLL(None, use_errno=True)


def must(result, what):
    if result:
        sys.exit(f"launch: {what}: {os.strerror(ctypes.get_errno())}")


def mount(source, target, kind=None, flags=0, data=None):
    words = [word.encode() if word else None for word in (source, target, kind)]
    must(libc.mount(*words, ctypes.c_ulong(flags), data and data.encode()), f"mount {target}")


def scratch():
    """A file system of our own to take covers from."""
    if not os.path.ismount("/mnt"):
        mount("tmpfs", "/mnt", "tmpfs")
    name = f"/mnt/{len(os.listdir('/mnt'))}"
    return name


def lay(path, text):
    name = scratch()
    with open(name, "w") as file:
        file.write(text)
    mount(name, path, None, MS_BIND)


def cover(path):
    if os.path.isdir(path):
        folder(path, "")
    else:
        mount("/dev/null", path, None, MS_BIND)


def folder(path, files):
    name = scratch()
    os.mkdir(name, 0o755)
    for one in filter(None, files.split(",")):
        file, text = one.split("=", 1)
        with open(f"{name}/{file}", "w") as out:
            out.write(text)
    mount(name, path, None, MS_BIND)


def read_only(path):
    for line in open("/proc/self/mountinfo").read().splitlines():
        at = line.split()[4]
        if at == path or at.startswith(path + "/"):
            mount(None, at, None, MS_REMOUNT | MS_BIND | MS_RDONLY)


def become(user):
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    must(libc.prctl(4, 1, 0, 0, 0), "become dumpable")


def no_user_namespaces():
    """In a namespace that keeps all ids as they are; only its parent's privilege may write such a map."""
    ready = os.pipe()
    helper = os.fork()
    if not helper:
        os.read(ready[0], 1)
        for file in "uid_map", "gid_map":
            with open(f"/proc/{os.getppid()}/{file}", "w") as out:
                out.write("0 0 4294967295")
        os._exit(0)
    must(libc.unshare(NEW_USER), "unshare")
    os.write(ready[1], b"x")
    must(os.waitpid(helper, 0)[1], "write the maps")
    for descriptor in ready:
        os.close(descriptor)
    with open("/proc/sys/user/max_user_namespaces", "w") as out:
        out.write("0")


def filter_calls(rules):
    def line(code, true, false, operand):
        return struct.pack("HBBI", code, true, false, operand)

    program = [line(0x20, 0, 0, 0)]  # the number of the call
    for number, errno, flags in rules:
        if number == WRITE:
            program += [line(0x15, 0, 4, number), line(0x20, 0, 0, 32), line(0x15, 0, 1, flags)]
        elif flags:
            program += [line(0x15, 0, 4, number), line(0x20, 0, 0, 16), line(0x45, 0, 1, flags)]
        else:
            program += [line(0x15, 0, 1, number)]
        program += [line(0x06, 0, 0, 0x50000 | errno)]
        if flags:
            program += [line(0x20, 0, 0, 0)]
    program += [line(0x06, 0, 0, 0x7FFF0000)]
    text = ctypes.create_string_buffer(b"".join(program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(text)))
    must(libc.prctl(38, 1, 0, 0, 0), "no_new_privs")
    must(libc.prctl(22, 2, header, 0, 0), "load the filter")


def main():
    changes, command = sys.argv[1 : sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1 :]
    rules, private = [], False
    for change in changes:
        name, _, value = change.partition("=")
        if name in ("cover", "text", "folder", "tmpfs", "read_only", "umount") and not private:
            must(libc.unshare(NEW_NS), "unshare")
            mount(None, "/", None, MS_REC | MS_PRIVATE)
            private = True
        first, _, rest = value.partition(":")
        if name == "cover":
            cover(value)
        elif name == "text":
            lay(first, rest)
        elif name == "folder":
            folder(first, rest)
        elif name == "tmpfs":
            mount("tmpfs", first, "tmpfs", 0, f"size={rest},mode=755")
        elif name == "read_only":
            read_only(value)
        elif name == "umount":
            must(libc.umount2(value.encode(), 2), f"umount {value}")
        elif name == "core":
            resource.setrlimit(resource.RLIMIT_CORE, (int(value), int(value)))
        elif name == "user":
            become(int(value))
        elif name == "no_user_namespaces":
            no_user_namespaces()
        elif name == "container":
            must(libc.unshare(NEW_IPC), "unshare")
            os.environ["container"] = value
        elif name == "unit":
            os.environ["SYSTEMD_EXEC_PID"] = str(os.getpid())
        elif name == "write":
            rules.append([WRITE, int(rest), int(first)])
        elif name == "errno":
            rules.append([int(word, 0) for word in (value.split(":") + ["0"])[:3]])
        else:
            sys.exit(f"launch: what is {change}?")
    if rules:
        filter_calls(rules)
    os.execv(command[0], command)


main()
