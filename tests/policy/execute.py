# Inside a run: makes every call of ROWS for real. The arguments are such that what is allowed does
# nothing (descriptor and pointer -1), except in the five calls below that take no such argument.
EXIT, EXIT_GROUP, RT_SIGRETURN, FORK, VFORK, PAUSE = 60, 231, 15, 57, 58, 34
MARK = 133  # "the kernel did it" where a call that is allowed does not come back


def child(act):
    """How a child ends that does `act`, and 9 if it comes back."""
    pid = os.fork()
    if pid == 0:
        act()
        os._exit(9)
    return os.waitpid(pid, 0)[1]


def ended(number):
    ends, answer = os.pipe()

    def act():
        result = call(number, 7)
        os.write(answer, str(result).encode())

    status = child(act)
    os.close(answer)
    said = os.read(ends, 100)
    os.close(ends)
    return int(said) if said else -MARK if status else 0


def forked(number):
    ends, answer = os.pipe()

    def act():
        result = call(number)
        if result == 0:  # The new process; after vfork it has the memory of the old one.
            os.write(answer, b"0")
            os._exit(0)
        os.write(answer, str(result).encode() if result < 0 else b"")
        os._exit(0)

    child(act)
    os.close(answer)
    said = os.read(ends, 100)
    os.close(ends)
    return -MARK if said == b"0" else int(said or 0)


def paused(number):
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    answer = call(number)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return answer


SPECIAL = {EXIT: ended, EXIT_GROUP: ended, RT_SIGRETURN: ended, FORK: forked, VFORK: forked, PAUSE: paused}
answers = []
for number, arguments in ROWS:
    act = SPECIAL.get(number)
    answers.append(act(number) if act else call(number, *arguments))
print(json.dumps(answers))
