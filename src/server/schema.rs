//! What `tools/list` says. Written by hand and flat: weak clients follow no `$ref`, and strict
//! ones warn about the formats that generators add.
#![forbid(unsafe_code)]

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};

use super::tool::CallRules;

pub(super) const TOOL_NAME: &str = "run_code";

const DESCRIPTION: &str = "Run Python code in a fresh, throw-away Linux sandbox and return what it \
printed. Each call starts from nothing: no files, variables or packages of an earlier call. The \
standard library, subprocess and threads work; there is no network. The working directory is \
/workspace (writable). Print what you want to see; the value of a last bare expression is returned \
too.";

/// The one tool.
pub(super) fn tool(rules: &CallRules) -> Tool {
    let mut annotations = ToolAnnotations::with_title("Run Python code");
    annotations.read_only_hint = Some(false);
    // The workspace is thrown away with the run, and there is no network.
    annotations.destructive_hint = Some(false);
    annotations.idempotent_hint = Some(false);
    annotations.open_world_hint = Some(false);
    Tool::new(TOOL_NAME, DESCRIPTION, Arc::new(input_schema(rules)))
        .with_title("Run Python code")
        .with_annotations(annotations)
}

fn input_schema(rules: &CallRules) -> JsonObject {
    JsonObject::from_iter([
        ("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema")),
        ("type".to_owned(), json!("object")),
        ("additionalProperties".to_owned(), json!(false)),
        ("required".to_owned(), json!(["code"])),
        ("properties".to_owned(), properties(rules)),
    ])
}

fn properties(rules: &CallRules) -> Value {
    json!({
        "code": {
            "type": "string",
            "maxLength": rules.most_characters,
            "description": "Python source. Common indentation is removed. Runs as __main__."
        },
        "requirements": {
            "type": ["array", "null"],
            "items": {"type": "string"},
            "description": "Packages to install, such as \"numpy>=2\". Not available yet."
        },
        "files": {
            "type": ["array", "null"],
            "items": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "url": {"type": "string"},
                    "content": {"type": "string"},
                    "encoding": {"type": "string", "enum": ["text", "base64"]},
                    "dataset": {"type": "string"},
                    "mountPath": {"type": "string"},
                    "sha256": {"type": "string"}
                }
            },
            "description": "Files to place, read-only, at mounts/<mountPath>. Not available yet."
        },
        "timeout_s": {
            "type": ["number", "null"],
            "exclusiveMinimum": 0,
            "description": format!(
                "Seconds until the program is stopped, at most {}.",
                rules.timeout_ceiling.as_secs()
            )
        },
        "lock": {
            "type": ["string", "null"],
            "description": "A lock from an earlier call, instead of requirements. Not available yet."
        },
        "return_lock": {
            "type": ["boolean", "null"],
            "description": "Return the lock of the packages used. Not available yet."
        },
        "isolation": {
            "type": ["string", "null"],
            "enum": ["strict", null],
            "description": "strict: an interpreter of its own, started for this call."
        }
    })
}
