# Stands before every attempt: raw system calls, and the one word that an attempt says.
import ctypes, errno, os, socket, sys

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def call(number, *arguments):
    """One x86_64 system call as the kernel answers it: a result, or a negative errno."""
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = _libc.syscall(ctypes.c_long(number), *words)
    return result if result != -1 else -ctypes.get_errno()


def name(result):
    return errno.errorcode.get(-result, str(result)) if result < 0 else str(result)


def say(escaped, why):
    """The last act: `escaped` is whether the attempt did what it must not."""
    print(why, file=sys.stderr)
    print("ESCAPED" if escaped else "HELD")


def say_all(answers):
    """For several attempts in one: all must succeed or all must fail."""
    won = [n for n, escaped in answers.items() if escaped]
    print("succeeded:", won, "refused:", [n for n in answers if n not in won], file=sys.stderr)
    print("ESCAPED" if len(won) == len(answers) else "HELD" if not won else "MIXED")


def status(field, pid="self"):
    """A line of /proc/PID/status."""
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(field + ":"):
            return line.split(":", 1)[1].strip()


