//! One request against the policy. Pure; whatever can be refused is refused here, before any
//! process exists.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::policy::Policy;
use crate::wire::{Refusal, RunRequest};

/// A request that may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted<'a> {
    /// Python source.
    pub code: &'a str,
    /// Its wall clock.
    pub wall: Duration,
}

/// Bytes of a caller's name, which stands in its runs' audit records whole.
const MOST_PRINCIPAL: usize = 256;

/// The server has checked all this; a server that is not itself any more may not have.
pub fn admit<'a>(request: &'a RunRequest, policy: &Policy) -> Result<Admitted<'a>, Refusal> {
    let most = policy.limits.call.code_characters.value;
    if u64::try_from(request.code.chars().count()).unwrap_or(u64::MAX) > most {
        let message = format!("code is longer than {most} characters; make it shorter");
        return Err(Refusal::Rejected { message });
    }
    let name = &request.principal;
    if name.is_empty() || name.len() > MOST_PRINCIPAL || name.chars().any(char::is_control) {
        let message = format!(
            "no run can be recorded for this caller: its name is empty, longer than \
             {MOST_PRINCIPAL} bytes or has control characters; the operator must give it another"
        );
        return Err(Refusal::Rejected { message });
    }
    if request.code.contains('\0') {
        let message = "code contains a null character; remove it".to_owned();
        return Err(Refusal::Rejected { message });
    }
    let wall = &policy.limits.run.wall;
    let wished = request.timeout_ms.map_or(wall.value, Duration::from_millis);
    Ok(Admitted { code: &request.code, wall: wished.clamp(Duration::from_millis(1), wall.ceiling) })
}
