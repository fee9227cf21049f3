# proves: seccomp-run allow memfd_create flags
# stopped by: seccomp:memfd_create
MFD_HUGETLB, SIZE = 4, 13 << 26
result = call(319, b"huge", MFD_HUGETLB | SIZE)
say(result != -errno.ENOMEM, f"memfd_create: {name(result)}")
