# proves: always init
# stopped by: dumpable + landlock
# Its memory, root and descriptors would be a way to the socket that it reports on.
answers = {}
for entry in ("environ", "maps", "mem"):
    try:
        os.close(os.open(f"/proc/1/{entry}", os.O_RDONLY))
        answers[entry] = True
    except OSError:
        answers[entry] = False
for entry in ("root", "cwd", "exe"):
    try:
        os.readlink(f"/proc/1/{entry}")
        answers[entry] = True
    except OSError:
        answers[entry] = False
say_all(answers)
