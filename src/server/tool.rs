//! The arguments of `run_code`: everything a client sends is checked here, and what leaves is a
//! [`Call`] in which nothing is a raw string that was not.
#![forbid(unsafe_code)]

use std::time::Duration;

use serde_json::{Map, Value};

use super::dedent::dedent;
use super::error::CallError;
use super::hints::Hint;

/// A call that may run.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) code: String,
    pub(super) timeout: Option<Duration>,
    /// What the caller should hear beside the result.
    pub(super) hints: Vec<Hint>,
}

/// What policy and settings say about calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallRules {
    pub(super) most_characters: usize,
    pub(super) timeout_ceiling: Duration,
    /// For a call that names none; the policy's own when absent.
    pub(super) default_timeout: Option<Duration>,
}

/// In the schema already, so that clients need not change when they come to work.
const NOT_YET: [(&str, &str); 4] = [
    ("requirements", "Leave it out and use the standard library."),
    ("files", "Leave it out and put the data into the code."),
    ("lock", "Leave it out and use the standard library."),
    ("return_lock", "Leave it out."),
];

/// Null equals absent; what is unknown is refused by name.
pub(super) fn parse(arguments: &Map<String, Value>, rules: &CallRules) -> Result<Call, CallError> {
    for (name, value) in arguments {
        check_name_and_availability(name, value)?;
    }
    let present = |name| arguments.get(name).filter(|value| !value.is_null());
    match present("isolation") {
        None => {}
        Some(Value::String(isolation)) if isolation == "strict" => {}
        Some(_) => return Err(CallError::wrong_argument("isolation", "\"strict\"")),
    }
    let Some(Value::String(code)) = present("code") else {
        return Err(CallError::no_code());
    };
    let characters = code.chars().count();
    if characters > rules.most_characters {
        return Err(CallError::code_too_long(characters, rules.most_characters));
    }
    if let Some((before, _)) = code.split_once('\0') {
        return Err(CallError::code_with_nul(before.matches('\n').count() + 1));
    }
    let timeout = present("timeout_s").map(seconds).transpose()?;
    let mut hints = Vec::new();
    let timeout = timeout.or(rules.default_timeout).map(|wished| {
        if wished > rules.timeout_ceiling {
            hints.push(Hint::timeout_lowered(rules.timeout_ceiling));
        }
        wished.min(rules.timeout_ceiling)
    });
    Ok(Call { code: dedent(code), timeout, hints })
}

fn check_name_and_availability(name: &str, value: &Value) -> Result<(), CallError> {
    if matches!(name, "code" | "timeout_s" | "isolation") {
        return Ok(());
    }
    let Some((known, next)) = NOT_YET.iter().find(|(known, _)| *known == name) else {
        return Err(CallError::unknown_argument(name));
    };
    // What asks for nothing can be granted: many clients fill in every optional field.
    let asks_for_nothing = match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::String(_) | Value::Object(_) => false,
    };
    if asks_for_nothing { Ok(()) } else { Err(CallError::not_available(known, next)) }
}

fn seconds(value: &Value) -> Result<Duration, CallError> {
    value
        .as_f64()
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        // Less than a millisecond would round down to no time at all.
        .map(|time| time.max(Duration::from_millis(1)))
        .ok_or_else(|| CallError::wrong_argument("timeout_s", "a positive number of seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const RULES: CallRules = CallRules {
        most_characters: 20,
        timeout_ceiling: Duration::from_secs(600),
        default_timeout: None,
    };

    fn parsed(arguments: &Value) -> Result<Call, CallError> {
        parse(arguments.as_object().unwrap(), &RULES)
    }

    #[test]
    fn null_equals_absent() {
        let call = parsed(&json!({
            "code": "1", "requirements": null, "files": null, "timeout_s": null, "lock": null,
            "return_lock": null, "isolation": null
        }));
        assert_eq!(call.unwrap().timeout, None);
    }

    #[test]
    fn an_unknown_argument_is_refused_by_name() {
        let error = parsed(&json!({"code": "1", "memory": 5})).unwrap_err();
        assert!(error.message.contains("`memory`"), "{error:?}");
    }

    #[test]
    fn what_is_not_there_yet_says_so() {
        for name in ["requirements", "files"] {
            let error = parsed(&json!({"code": "1", name: ["x"]})).unwrap_err();
            assert_eq!(error.code, "arguments.not_available");
        }
        let error = parsed(&json!({"code": "1", "lock": "x"})).unwrap_err();
        assert!(error.message.contains("not available yet"), "{error:?}");
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        assert!(parsed(&json!({"code": "ä".repeat(20)})).is_ok());
        assert_eq!(parsed(&json!({"code": "a".repeat(21)})).unwrap_err().code, "code.too_long");
    }

    #[test]
    fn a_nul_is_refused_with_its_line_and_no_code_at_all_is_fine() {
        let error = parsed(&json!({"code": "a\nb\0"})).unwrap_err();
        assert!(error.code == "code.nul" && error.message.contains("line 2"), "{error:?}");
        assert_eq!(parsed(&json!({"code": ""})).unwrap().code, "");
    }

    #[test]
    fn a_timeout_beyond_the_ceiling_is_lowered_and_said() {
        let call = parsed(&json!({"code": "1", "timeout_s": 1e9})).unwrap();
        assert_eq!(call.timeout, Some(Duration::from_secs(600)));
        assert_eq!(call.hints.len(), 1);
        for bad in [json!(0), json!(-1), json!("5"), json!(true)] {
            assert!(parsed(&json!({"code": "1", "timeout_s": bad})).is_err(), "{bad}");
        }
    }
}
