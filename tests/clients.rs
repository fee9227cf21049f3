//! Real clients call the real server, over HTTP and over stdio: the examples of `examples/`, each in
//! the environment that `make clients` made for it.
#![forbid(unsafe_code)]

#[cfg(test)]
#[path = "clients/example.rs"]
mod example;
#[cfg(test)]
#[path = "support/support.rs"]
mod support;

/// Each kind of client, through both doors.
#[cfg(test)]
macro_rules! clients {
    ($($kind:ident: $file:literal $environment:literal $($mode:literal)?;)*) => {$(
        mod $kind {
            use crate::example::{Door, Example};

            const EXAMPLE: Example =
                Example { file: $file, environment: $environment, mode: &[$($mode)?] };

            #[test]
            fn streams_over_http() {
                EXAMPLE.must_stream(Door::Http);
            }

            #[test]
            fn streams_over_stdio() {
                EXAMPLE.must_stream(Door::Stdio);
            }

            #[test]
            fn gets_a_failing_program_as_a_result() {
                EXAMPLE.must_report_a_failure(Door::Http);
            }
        }
    )*};
}

#[cfg(test)]
clients! {
    python_mcp: "mcp_python.py" "mcp" "auto";
    python_mcp_legacy: "mcp_python.py" "mcp" "legacy";
    fastmcp_4: "fastmcp_4.py" "fastmcp-4";
    the_clients_of_the_first_primcs: "fastmcp_2.py" "fastmcp-2";
    typescript: "mcp_client.mjs" "javascript" "auto";
    typescript_legacy: "mcp_client.mjs" "javascript" "legacy";
    typescript_sdk_1: "mcp_sdk.mjs" "javascript";
}

#[cfg(test)]
mod inspector {
    use crate::example::{Door, Example};

    const EXAMPLE: Example = Example { file: "inspector.sh", environment: "javascript", mode: &[] };

    /// The Inspector prints the result as JSON and shows no progress.
    fn must_answer(door: Door) {
        let said = EXAMPLE.run(door, "print(6 * 7)\nraise ValueError('no')");
        let answer: serde_json::Value =
            serde_json::from_str(&said.stdout).expect("the Inspector prints JSON");
        assert_eq!(answer["structuredContent"]["stdout"], "42\n");
        assert_eq!(answer["structuredContent"]["status"], "error");
        assert_ne!(answer["isError"], true, "a program that failed by itself is a result");
    }

    #[test]
    fn answers_over_http() {
        must_answer(Door::Http);
    }

    #[test]
    fn answers_over_stdio() {
        must_answer(Door::Stdio);
    }
}

#[cfg(test)]
mod curl {
    use crate::example::{Door, Example, PAUSE, SLOW};

    const EXAMPLE: Example = Example { file: "curl.sh", environment: "", mode: &[] };

    #[test]
    fn shows_events_while_the_program_runs() {
        let said = EXAMPLE.run(Door::Http, SLOW);
        let first = said.arrival("first", |arrived| &arrived.stdout);
        let result = said.arrival("\"status\":\"ok\"", |arrived| &arrived.stdout);
        assert!(result - first > PAUSE / 2, "the output came only with the result: {said:?}");
    }
}
