# Loads the compiled filter as it is shipped, then makes every call of the table, and no call of it
# takes effect: below the filter lies one of our own that answers MARK to whatever has MAGIC as its
# sixth argument, or a number whose rules look at that one. The kernel asks all filters; of several that refuse with an errno the last loaded
# wins. So the answer is the shipped filter's errno where it refuses, and MARK where it allows.
import struct

MAGIC, MARK = 0x5EC0_0B57, 133
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
PR_SET_NO_NEW_PRIVS, SECCOMP, SECCOMP_SET_MODE_FILTER = 38, 317, 1


def load(program):
    steps = b"".join(struct.pack("HBBI", *step) for step in program)
    text = ctypes.create_string_buffer(steps, len(steps))
    wish = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program), ctypes.addressof(text)), 16)
    answer = call(SECCOMP, SECCOMP_SET_MODE_FILTER, 0, ctypes.addressof(wish))
    if answer != 0:
        sys.exit(f"seccomp: errno {-answer}")


given = json.load(sys.stdin)
sixths = {}
for number, arguments in given["rows"]:
    sixths.setdefault(number, set()).add(arguments[5])
# This process itself makes none of these calls.
looked_at = [number for number, seen in sixths.items() if len(seen) > 1]
sixth_low = 16 + 5 * 8
marker = [(0x20, 0, 0, sixth_low), (0x15, len(looked_at) + 2, 0, MAGIC), (0x20, 0, 0, 0)]
marker += [(0x15, len(looked_at) - place, 0, number) for place, number in enumerate(looked_at)]
marker += [(6, 0, 0, ALLOW), (6, 0, 0, ERRNO | MARK)]
if _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
    sys.exit("no_new_privs")
for program in [marker] + given["programs"]:
    load(program)
answers = [
    call(number, *arguments[:5], arguments[5] if number in looked_at else MAGIC)
    for number, arguments in given["rows"]
]
os.write(1, json.dumps(answers).encode())
os._exit(0)
