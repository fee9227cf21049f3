# Starts a program where a journal of the test's own listens at the fixed path: in a mount namespace
# whose /run has that socket, and the numbers of live instances of the host. For root.
# usage: unshare -m sh journal.sh FOLDER PROGRAM [ARGUMENT...]; FOLDER has the file `socket`.
set -eu
over=$1/run
mkdir -p "$over" /run/primcs
mount --make-rprivate /
mount -t tmpfs none "$over"
mkdir -p "$over/primcs" "$over/systemd/journal"
mount --bind /run/primcs "$over/primcs"
mount --bind "$1" "$over/systemd/journal"
mount --rbind "$over" /run
shift
exec "$@"
