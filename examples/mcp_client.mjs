// Runs Python in PRIMCS with the TypeScript SDK (@modelcontextprotocol/client 2.x), streaming.
//
//   node mcp_client.mjs http://127.0.0.1:9000/mcp 'print(6 * 7)'
//   node mcp_client.mjs 'target/release/primcs stdio' 'print(6 * 7)'
//
// A third word chooses the protocol: auto (default) or legacy.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

const [target, code, mode = "auto"] = process.argv.slice(2);
const [command, ...args] = target.split(" ");
const transport = target.startsWith("http")
  ? new StreamableHTTPClientTransport(new URL(target))
  : new StdioClientTransport({ command, args });

const client = new Client(
  { name: "primcs-example", version: "1.0.0" },
  { versionNegotiation: { mode } },
);
await client.connect(transport);
const answer = await client.callTool(
  { name: "run_code", arguments: { code } },
  { onprogress: ({ message }) => process.stderr.write(message ?? ""), resetTimeoutOnProgress: true },
);
process.stdout.write(answer.structuredContent.stdout);
console.log("status:", answer.structuredContent.status);
await client.close();
