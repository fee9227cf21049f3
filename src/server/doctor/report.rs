//! Findings for people and for programs.
#![forbid(unsafe_code)]

use serde_json::{Map, Value, json};

use crate::server::health;

use super::amount::each_run;
use super::checks::GROUPS;
use super::findings::{Finding, Outcome, Status};

/// What all of it comes to; the exit status says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Runs are confined, with hard limits.
    Confined,
    /// Runs are confined; memory, processes and CPU are not limited.
    SoftLimits {
        /// The operator has said that this will do, so that primcs starts.
        allowed: bool,
    },
    /// No run can be confined.
    NotConfined,
}

impl Verdict {
    pub(super) fn of(findings: &[Finding], outcome: &Outcome, allows_soft_limits: bool) -> Self {
        // What the supervisor found wrong counts whether or not the table knows its name.
        let failed = findings.iter().any(|finding| finding.status == Status::Failed)
            || outcome.probe().is_some_and(|probe| probe.problem.is_some());
        match outcome {
            _ if failed => Self::NotConfined,
            Outcome::Started { welcome, .. } if welcome.limits.hard => Self::Confined,
            Outcome::Started { .. } => Self::SoftLimits { allowed: allows_soft_limits },
            Outcome::Refused(_) => Self::NotConfined,
        }
    }

    /// 2 is for a wrong command line.
    pub(super) const fn exit_status(self) -> u8 {
        match self {
            Self::Confined | Self::SoftLimits { allowed: true } => 0,
            Self::NotConfined => 1,
            Self::SoftLimits { allowed: false } => 3,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Confined => "confined",
            Self::SoftLimits { .. } => "soft_limits",
            Self::NotConfined => "not_confined",
        }
    }
}

/// The stable form that `docs/doctor.md` describes.
pub(super) fn json(findings: &[Finding], outcome: &Outcome, verdict: Verdict) -> Value {
    let mut fields = match outcome {
        Outcome::Started { welcome, probe, .. } => health::report(welcome, probe),
        Outcome::Refused(unable) => Map::from_iter([("failure".to_owned(), json!(unable.problem))]),
    };
    let failed: Vec<_> = with(findings, Status::Failed).map(|finding| finding.id).collect();
    let more = [
        ("format", json!(1)),
        ("verdict", json!(verdict.name())),
        ("exit_status", json!(verdict.exit_status())),
        ("ready", json!(verdict != Verdict::NotConfined)),
        ("failed", json!(failed)),
        ("checks", json!(findings)),
    ];
    fields.extend(more.map(|(name, value)| (name.to_owned(), value)));
    Value::Object(fields)
}

/// For people: by groups, what is as it should be in few words, all else with what to do.
pub(super) fn text(findings: &[Finding], outcome: &Outcome, verdict: Verdict) -> String {
    let mut text = String::new();
    for (group, about) in GROUPS {
        let of_group = |finding: &&Finding| finding.id.split('.').next() == Some(group);
        let of_group: Vec<_> = findings.iter().filter(of_group).collect();
        text.extend([about, "\n"]);
        for finding in &of_group {
            text.push_str(&line(finding));
        }
        for (word, status) in [("ok", Status::Ok), ("not tried", Status::NotChecked)] {
            let quiet = of_group.iter().filter(|one| one.status == status && one.seen.is_empty());
            let names: Vec<_> = quiet.filter_map(|one| Some(one.id.split_once('.')?.1)).collect();
            if !names.is_empty() {
                text.push_str(&wrapped(&format!("  {word:<10}"), &names.join(", ")));
            }
        }
        text.push('\n');
    }
    if let Outcome::Started { welcome, .. } = outcome {
        text.push_str(&wrapped("each run    ", &each_run(&welcome.limits)));
        let rights = if welcome.rootless { "a plain user" } else { "root" };
        let digest: String = welcome.policy_digest.chars().take(16).collect();
        let about = format!(
            "{}, isolation {}, as {rights}, policy {digest}",
            welcome.version, welcome.isolation
        );
        text.push_str(&wrapped("primcs      ", &about));
        text.push('\n');
    }
    text.push_str(&conclusion(findings, outcome, verdict));
    text
}

/// For the log of a unit and the first screen of a container: what is not as it should be.
pub(super) fn short(findings: &[Finding], outcome: &Outcome, verdict: Verdict) -> String {
    let is_wrong = |one: &&Finding| matches!(one.status, Status::Failed | Status::Missing);
    let wrong: String = findings.iter().filter(is_wrong).map(line).collect();
    format!("{wrong}{}", conclusion(findings, outcome, verdict))
}

/// Findings of which there is something to say get lines of their own.
fn line(finding: &Finding) -> String {
    let word = match finding.status {
        Status::Ok => "ok",
        Status::Failed => "FAILED",
        Status::Missing => "missing",
        Status::NotChecked => "not tried",
    };
    let is_quiet = matches!(finding.status, Status::Ok | Status::NotChecked);
    if is_quiet && finding.seen.is_empty() {
        return String::new();
    }
    let mut text = wrapped(&format!("  {word:<10}{:<22}", finding.id), &finding.seen);
    if !is_quiet {
        text.push_str(&wrapped("            means ", finding.means));
        text.push_str(&wrapped("            fix   ", finding.fix.as_deref().unwrap_or("none")));
    }
    text
}

fn conclusion(findings: &[Finding], outcome: &Outcome, verdict: Verdict) -> String {
    let first = |status| with(findings, status).next();
    let fix = |finding: Option<&Finding>| {
        finding.and_then(|finding| finding.fix.clone()).unwrap_or_default()
    };
    match verdict {
        Verdict::Confined => {
            let weaker = match outcome {
                Outcome::Started { welcome, .. } if welcome.cgroup_layout != "v2" => {
                    ", of cgroup v1's weaker kind (SECURITY.md#weaker-modes-and-how)"
                }
                Outcome::Started { .. } | Outcome::Refused(_) => "",
            };
            format!("Runs are confined here, with hard limits{weaker}.\n")
        }
        Verdict::SoftLimits { allowed } => {
            let missing = findings.iter().find(|finding| finding.id == "cgroup.limits");
            let so = if allowed {
                "soft limits, and you have allowed that (allow_soft_limits)"
            } else {
                "primcs refuses to start unless told --allow-soft-limits"
            };
            format!(
                "Runs are confined here, but nothing limits their memory, processes and CPU:\n\
                 {so}.\nfix: {}\n",
                fix(missing)
            )
        }
        Verdict::NotConfined => {
            let failed: Vec<_> = with(findings, Status::Failed).map(|one| one.id).collect();
            format!(
                "No run can be confined here: {}\nfix: {}\n",
                failed.join(", "),
                fix(first(Status::Failed))
            )
        }
    }
}

fn with(findings: &[Finding], status: Status) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(move |finding| finding.status == status)
}

/// `label` and then `text`, broken between words so that the lines stand below each other.
fn wrapped(label: &str, text: &str) -> String {
    let indent = label.chars().count();
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        if !line.is_empty() && indent + line.chars().count() + word.chars().count() >= WIDTH {
            lines.push(word.to_owned());
        } else {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    let separator = format!("\n{}", " ".repeat(indent));
    format!("{label}{}\n", lines.join(&separator))
}

const WIDTH: usize = 100;
