//! A program that does what it can to stay.
#![forbid(unsafe_code)]

/// Ignores what can be ignored, leaves a stopped grandchild and one in a session of its own.
pub(crate) const STUBBORN: &str = "
    import os, signal, time
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(600)
    print('under way', flush=True)
    time.sleep(600)
";
