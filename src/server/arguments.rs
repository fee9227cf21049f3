//! The command line. Parsing touches no file and starts nothing: as root this runs before the
//! program splits into its two halves.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::settings::Settings;

/// Runs arbitrary Python in a throw-away Linux sandbox, behind one MCP tool.
#[derive(Debug, Parser)]
#[command(name = "primcs", version, about, arg_required_else_help = true)]
// The last one wins, so that a wrapper script's flags can be overruled.
#[command(args_override_self = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// MCP over HTTP, at /mcp
    Serve(ServeArguments),
    /// MCP on stdin and stdout
    Stdio(HostArguments),
    /// One run, on the same path as the server's
    #[command(
        override_usage = "primcs run [OPTIONS] (FILE | - | -c CODE)",
        after_long_help = EXIT_STATUS_OF_RUN
    )]
    Run(RunArguments),
    /// What this host offers; fails when a run could not be confined
    #[command(after_long_help = EXIT_STATUS_OF_DOCTOR)]
    Doctor(DoctorArguments),
    /// What runs may do, and why
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// The settings in force
    #[command(subcommand)]
    Config(ConfigCommand),
}

// A heading, and lines of a term, two spaces and its meaning: the man pages are made of it, too.
const EXIT_STATUS_OF_RUN: &str = "\
Exit status:
  0-255    of the program
  128 + N  when signal N ended the program
  124      when its time was over
  125      when there is no status: it could not be run, or another limit stopped it
  141      when nobody read what it printed any more";

const EXIT_STATUS_OF_DOCTOR: &str = "\
Exit status:
  0  runs are confined, with hard limits, or without where allow_soft_limits is set
  1  no run can be confined
  2  the command line is wrong
  3  runs are confined, but no cgroup limits their memory, processes and CPU";

/// What every command that starts a supervisor takes.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct HostArguments {
    /// Configuration file
    #[arg(long, value_name = "FILE", env = "PRIMCS_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Folder whose files replace those of the built-in policy
    #[arg(long, value_name = "DIR")]
    pub(super) policy: Option<PathBuf>,
    /// Where the private copy of the system is kept
    #[arg(long, value_name = "DIR")]
    pub(super) state_dir: Option<PathBuf>,
    /// Python that runs the code
    #[arg(long, value_name = "PATH")]
    pub(super) python: Option<PathBuf>,
    /// Runs at once, at most
    #[arg(long, value_name = "N")]
    pub(super) max_runs: Option<u32>,
    /// Run although this host has no cgroup to enforce limits with; results then say so
    #[arg(long)]
    pub(super) allow_soft_limits: bool,
}

#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    #[command(flatten)]
    pub(super) host: HostArguments,
    /// Address and port of the HTTP door [default: 127.0.0.1:9000]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) listen: Option<SocketAddr>,
    /// Listen beyond loopback although everybody who reaches the port can then run code
    #[arg(long)]
    pub(super) allow_unauthenticated: bool,
    /// Seconds for runs under way to end by themselves at SIGTERM [default: 30]
    #[arg(long, value_name = "S")]
    pub(super) drain_s: Option<u64>,
    /// Socket of a supervisor that runs as a service; it has its settings from the file
    #[arg(long, value_name = "PATH", conflicts_with_all = ["state_dir", "python", "max_runs", "allow_soft_limits"])]
    pub(super) supervisor: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    #[command(flatten)]
    pub(super) host: HostArguments,
    /// Package to install for the run (not available yet)
    #[arg(short = 'r', long = "requirement", value_name = "REQUIREMENT")]
    pub(super) requirements: Vec<String>,
    /// File to download for the run (not available yet)
    #[arg(short = 'f', long = "file", value_name = "URL=PATH")]
    pub(super) files: Vec<String>,
    /// Seconds until the run is stopped
    #[arg(long, value_name = "S", value_parser = positive_seconds)]
    pub(super) timeout: Option<f64>,
    /// Folder for artifacts (not available yet)
    #[arg(short = 'o', value_name = "DIR")]
    pub(super) output: Option<PathBuf>,
    /// Print the whole result as JSON instead of streaming output
    #[arg(long)]
    pub(super) json: bool,
    /// Say on stderr where the time went
    #[arg(long)]
    pub(super) timings: bool,
    /// Let control characters through to the terminal
    #[arg(long)]
    pub(super) raw: bool,
    /// Code to run
    #[arg(short = 'c', value_name = "CODE", conflicts_with = "file")]
    pub(super) code: Option<String>,
    /// File to run, `-` for stdin
    #[arg(value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    #[command(flatten)]
    pub(super) host: HostArguments,
    /// Print what each check means and how to mend it (docs/doctor.md), and check nothing
    #[arg(long)]
    pub(super) checks: bool,
    /// For programs
    #[arg(long, conflicts_with = "quiet")]
    pub(super) json: bool,
    /// Only what is not as it should be, and the conclusion: for units and containers
    #[arg(long)]
    pub(super) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Print the policy in force with its reasons
    Explain {
        /// Only what concerns this: a system call, limit, path, variable, tool, or part of the policy
        name: Option<String>,
        /// Folder whose files replace those of the built-in policy
        #[arg(long, value_name = "DIR", env = "PRIMCS_POLICY")]
        policy: Option<PathBuf>,
    },
    /// Try a folder of replacement files
    Check {
        /// The folder
        dir: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print the settings in force
    Show {
        /// Say where each came from
        #[arg(long)]
        origin: bool,
        /// Configuration file
        #[arg(long, value_name = "FILE", env = "PRIMCS_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Try a configuration file
    Check {
        /// The one in force when absent
        file: Option<PathBuf>,
    },
    /// Print a file with every setting and its default
    Default,
}

fn positive_seconds(text: &str) -> Result<f64, &'static str> {
    let seconds = text.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds > 0.0);
    seconds.ok_or("it must be a number of seconds above 0, such as 2.5")
}

impl HostArguments {
    /// The flags as a layer of settings.
    pub(super) fn settings(&self) -> Settings {
        Settings {
            state_dir: self.state_dir.clone(),
            policy: self.policy.clone(),
            python: self.python.clone(),
            max_runs: self.max_runs,
            allow_soft_limits: self.allow_soft_limits.then_some(true),
            ..Settings::default()
        }
    }
}

impl ServeArguments {
    /// The flags as a layer of settings.
    pub(super) fn settings(&self) -> Settings {
        Settings {
            listen: self.listen,
            allow_unauthenticated: self.allow_unauthenticated.then_some(true),
            drain_s: self.drain_s,
            ..self.host.settings()
        }
    }
}
