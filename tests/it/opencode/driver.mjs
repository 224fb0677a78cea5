// Stands for opencode: calls the plugin at argv[2] as opencode does, with the steps on standard input. Then it waits until
// the plugin has sent everything; after the step `leave`, for nothing.
import { readFileSync } from "node:fs"

const { AgentConsole } = await import(process.argv[2])
const busy = setInterval(() => {}, 1000)
const instances = []
let leaves = false
for (const step of JSON.parse(readFileSync(0, "utf8"))) {
  if (step.init) instances.push(await AgentConsole({ directory: step.init }))
  else if (step.dispose !== undefined) await instances[step.dispose].dispose()
  else if (step.leave) leaves = true
  else for (const { event } of instances) await event({ event: step.event })
}
const { sender } = globalThis[Symbol.for("agent-console.opencode")]
while (sender.active && !leaves) await new Promise((resolve) => setTimeout(resolve, 5))
clearInterval(busy)
