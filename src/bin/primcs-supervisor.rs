//! The privileged program. Started by `primcs` or by its unit, with the server's socket on
//! descriptor 0; called by the nursery's name it is one.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use primcs::supervisor::{self, nursery};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    if arguments.next().is_some_and(|name| name == nursery::NAME) {
        return nursery::run();
    }
    supervisor::run(arguments.collect())
}
