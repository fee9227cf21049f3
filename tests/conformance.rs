//! The official MCP conformance suite (`make clients` installs it, pinned) against the real server, in
//! both eras. The suite's own verdict counts, and is not believed alone: what must pass is named here,
//! and every failure that tests/conformance/*.yml expects must come from what it says is lacking.
#![forbid(unsafe_code)]

#[cfg(test)]
#[path = "conformance/baseline.rs"]
mod baseline;
#[cfg(test)]
#[path = "conformance/lack.rs"]
mod lack;
#[cfg(test)]
#[path = "conformance/suite.rs"]
mod suite;
#[cfg(test)]
#[path = "support/support.rs"]
mod support;

#[cfg(test)]
mod tests {
    use crate::suite::{Must, Revision};
    use crate::support::mcp::{Call, Era};
    use crate::support::server::shared;

    /// Checks with one id are made several times; `passed` counts all of a scenario.
    const MODERN: &[Must] = &[
        Must { pass: "server-stateless", passed: 21 },
        Must { pass: "tools-list", passed: 3 },
        Must { pass: "dns-rebinding-protection", passed: 2 },
        Must { pass: "http-header-validation", passed: 14 },
        Must { pass: "server-sse-multiple-streams", passed: 1 },
        Must { pass: "caching", passed: 4 },
        Must { pass: "sep-2164-resource-not-found", passed: 2 },
        Must { pass: "input-required-result-unsupported-methods", passed: 2 },
        Must { pass: "input-required-result-validate-input", passed: 3 },
    ];

    const LEGACY: &[Must] = &[
        Must { pass: "server-initialize", passed: 2 },
        Must { pass: "ping", passed: 2 },
        Must { pass: "tools-list", passed: 3 },
        Must { pass: "dns-rebinding-protection", passed: 2 },
    ];

    #[test]
    fn the_server_conforms_to_2026_07_28_but_for_the_suites_own_fixtures() {
        Revision { name: "2026-07-28", era: Era::Modern, scenarios: 50, must: MODERN }.holds();
    }

    #[test]
    fn the_server_conforms_to_2025_11_25_but_for_the_suites_own_fixtures() {
        Revision { name: "2025-11-25", era: Era::Legacy, scenarios: 33, must: LEGACY }.holds();
    }

    /// The suite calls only tools of its own, so it would not notice a server that runs nothing.
    #[test]
    fn the_server_that_conforms_is_one_that_runs_code() {
        for era in Era::BOTH {
            let answer = Call::new("print(6 * 7)").answer(shared().address, era).expect("ok");
            assert_eq!(answer.stdout(), "42\n");
        }
    }
}
