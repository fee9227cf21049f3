//! The MCP face: one tool, nothing else declared. Both protocol eras come through here, from both
//! doors; rmcp speaks the wire.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock,
    Implementation, ListToolsResult, PaginatedRequestParams, ProtocolVersion, ServerCapabilities,
    ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};

use super::live::LiveOutput;
use super::principal::Principal;
use super::progress;
use super::readable;
use super::result::{RunResult, Status};
use super::run::Runner;
use super::schema::{self, TOOL_NAME};
use super::tool::{self, CallRules};

/// What all calls share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) runner: Runner,
    pub(super) rules: CallRules,
    pub(super) tool: Tool,
    /// Of the readable text block.
    pub(super) most_text: usize,
}

/// One connection's view of it. Cheap to clone: over HTTP there is one a request.
#[derive(Debug, Clone)]
pub(super) struct McpServer {
    pub(super) shared: Arc<Shared>,
    pub(super) door: Door,
}

/// Where a call's principal comes from.
#[derive(Debug, Clone)]
pub(super) enum Door {
    /// Whoever started this process.
    Stdio(Principal),
    /// The HTTP door has put it beside the request.
    Http,
}

/// Codex shows a model the first 512 characters, so they stand alone.
const INSTRUCTIONS: &str = "run_code runs Python in a throw-away sandbox: fresh workspace, no \
network, nothing kept between calls. Print what you want to see. Every failure says in `error` \
what to do next; a program's own exception is a normal result with its traceback in stderr. Put \
everything one task needs into one call.";

/// The tool changes only with the program; a client may keep the list.
const TOOL_LIST_FRESH: Duration = Duration::from_secs(3600);

/// A client that reads slowly gets this long for what is still on its way when the run has ended.
const REST_OF_OUTPUT: Duration = Duration::from_secs(5);

impl ServerHandler for McpServer {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(
                Implementation::new("primcs", env!("CARGO_PKG_VERSION")).with_title("PRIMCS"),
            )
            .with_instructions(INSTRUCTIONS)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        (name == TOOL_NAME).then(|| self.shared.tool.clone())
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let fresh = u64::try_from(TOOL_LIST_FRESH.as_millis()).unwrap_or(u64::MAX);
        let mut list =
            ListToolsResult::with_all_items(vec![self.shared.tool.clone()]).with_ttl_ms(fresh);
        list.cache_scope = Some(CacheScope::Public);
        Ok(list)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if request.name != TOOL_NAME {
            return Err(ErrorData::invalid_params(
                format!("there is no such tool; the only one is {TOOL_NAME}"),
                None,
            ));
        }
        let principal = self.principal(&context)?;
        let arguments = request.arguments.unwrap_or_default();
        let result = match tool::parse(&arguments, &self.shared.rules) {
            Ok(call) => self.run(call, &principal, &context).await,
            Err(error) => {
                self.shared.runner.metrics.finished(Status::Rejected, None);
                let digest = &self.shared.runner.welcome.policy_digest;
                RunResult::without_run(Status::Rejected, error, digest)
            }
        };
        Ok(self.answer(&result, context.protocol_version().as_ref())?.into())
    }
}

impl McpServer {
    async fn run(
        &self,
        call: tool::Call,
        principal: &Principal,
        context: &RequestContext<RoleServer>,
    ) -> RunResult {
        let runner = &self.shared.runner;
        let Some(token) = context.meta.get_progress_token() else {
            return runner.run(call, principal, &LiveOutput::unwatched(), &context.ct).await;
        };
        let live = LiveOutput::watched();
        let telling = progress::tell(&context.peer, token, &live);
        let running = runner.run(call, principal, &live, &context.ct);
        tokio::pin!(telling, running);
        let mut told = false;
        let result = loop {
            tokio::select! {
                result = &mut running => break result,
                () = &mut telling, if !told => told = true,
            }
        };
        if !told && tokio::time::timeout(REST_OF_OUTPUT, telling).await.is_err() {
            tracing::debug!("a client read too slowly for all progress");
        }
        result
    }

    fn principal(&self, context: &RequestContext<RoleServer>) -> Result<Principal, ErrorData> {
        match &self.door {
            Door::Stdio(principal) => Ok(principal.clone()),
            // Fail closed: a request that passed no door has no principal.
            Door::Http => context
                .extensions
                .get::<http::request::Parts>()
                .and_then(|parts| parts.extensions.get::<Principal>())
                .cloned()
                .ok_or_else(|| ErrorData::internal_error("the request passed no door", None)),
        }
    }

    /// Peers older than structured content get the same object as JSON text, as the first PRIMCS
    /// gave it; all others get readable text and the object.
    fn answer(
        &self,
        result: &RunResult,
        version: Option<&ProtocolVersion>,
    ) -> Result<CallToolResult, ErrorData> {
        let failed = |error: serde_json::Error| ErrorData::internal_error(error.to_string(), None);
        let knows_structured = version
            .is_some_and(|version| version.as_str() >= ProtocolVersion::V_2025_06_18.as_str());
        let mut answer = CallToolResult::default();
        if knows_structured {
            let text = readable::text(result, self.shared.most_text);
            answer.content = vec![ContentBlock::text(text)];
            answer.structured_content = Some(serde_json::to_value(result).map_err(failed)?);
        } else {
            answer.content =
                vec![ContentBlock::text(serde_json::to_string(result).map_err(failed)?)];
        }
        answer.is_error = Some(result.status.is_error());
        Ok(answer)
    }
}

/// The shared part for `runner`.
pub(super) fn shared(runner: Runner, rules: CallRules, most_text: usize) -> Arc<Shared> {
    Arc::new(Shared { runner, rules, tool: schema::tool(&rules), most_text })
}
