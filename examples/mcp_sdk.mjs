// Runs Python in PRIMCS with the first TypeScript SDK (@modelcontextprotocol/sdk 1.x), streaming.
//
//   node mcp_sdk.mjs http://127.0.0.1:9000/mcp 'print(6 * 7)'
//   node mcp_sdk.mjs 'target/release/primcs stdio' 'print(6 * 7)'
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [target, code] = process.argv.slice(2);
const [command, ...args] = target.split(" ");
const transport = target.startsWith("http")
  ? new StreamableHTTPClientTransport(new URL(target))
  : new StdioClientTransport({ command, args });

const client = new Client({ name: "primcs-example", version: "1.0.0" });
await client.connect(transport);
const answer = await client.callTool({ name: "run_code", arguments: { code } }, undefined, {
  onprogress: ({ message }) => process.stderr.write(message ?? ""),
  resetTimeoutOnProgress: true,
});
process.stdout.write(answer.structuredContent.stdout);
console.log("status:", answer.structuredContent.status);
await client.close();
