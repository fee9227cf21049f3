# proves: mounts proc ro; process landlock /proc
# stopped by: proc_read_only + landlock
# Dirty COW (CVE-2016-5195) raced a write through this file, which goes to pages that a process may
# only read, against throwing them away. Here the page is the program's own, and read-only to it.
place = next(line.split("-")[0] for line in open("/proc/self/maps") if " r--p " in line)
try:
    memory = os.open("/proc/self/mem", os.O_RDWR)
    os.pwrite(memory, os.pread(memory, 8, int(place, 16)), int(place, 16))
    answer = "written"
except OSError as refusal:
    answer = errno.errorcode[refusal.errno]
say(answer == "written", f"/proc/self/mem: {answer}")
