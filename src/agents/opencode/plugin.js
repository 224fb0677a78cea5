// The plugin of agent-console for opencode, as observed with 1.18.33. `agent-console install` writes this file and
// replaces it with each version; `agent-console uninstall` removes it.
//
// It runs inside opencode. Each event that says something about a session's status goes to the daemon's socket as one
// `session.report` line (docs/protocol.md), reduced to the fields below: no prompt, no answer, no tool output, no diff.
// It registers only `event`, which opencode does not wait for, and `dispose`. It never throws, never prints, never keeps
// the process alive; where no daemon listens, the event is lost.
import { lstatSync, readFileSync, statSync } from "node:fs"
import { createConnection } from "node:net"

/** The socket of the configuration file; `install` writes it here. */
const CONFIGURED_SOCKET = ""
const DEFAULT_SOCKET = "/tmp/agent-console.sock"

/** Lines that wait for the daemon; beyond that the oldest is dropped. */
const MAX_LINES = 256
/** How long one connection may take, in ms. */
const SEND_MS = 2000
/** How long opencode's exit may wait for the last line, in ms. */
const DISPOSE_MS = 1000
/** A message that was created longer ago, in ms, is a copy: a forked session repeats the messages of the first. */
const NEW_MS = 10_000
/** Sessions, subagents, messages and tool calls that are remembered. */
const MAX_KNOWN = 256

/** The error's name when a person interrupts. */
const ABORTED = "MessageAbortedError"

/** The part of the state that all plugin functions of a process share: with `--port` there are two. */
const KEY = Symbol.for("agent-console.opencode")

const attempt = (action) => {
  try {
    return action()
  } catch {
    return undefined
  }
}

const cut = (value, limit) => (typeof value === "string" && value ? value.slice(0, limit) : undefined)

const number = (value) => (Number.isFinite(value) ? value : undefined)

/** Adds to a map or set, and drops the oldest beyond `MAX_KNOWN`. */
const remember = (known, key, value) => {
  if (known instanceof Map) known.set(key, value)
  else known.add(key)
  if (known.size > MAX_KNOWN) known.delete(known.keys().next().value)
  return value
}

/** How opencode was started: a terminal program, one prompt without a person, or a server for several terminals. */
const mode = () => {
  const words = { run: "run", serve: "shared", web: "shared", acp: "shared" }
  if (process.argv[1]?.endsWith("worker.js")) return "terminal"
  const command = process.argv.slice(2).find((word) => Object.hasOwn(words, word))
  return command ? words[command] : "terminal"
}

/** This process as the kernel knows it: proc(5). The daemon looks it up itself where there is no /proc. */
const identity = () => {
  const stat = attempt(() => readFileSync("/proc/self/stat", "latin1"))
  // The second field is a name in parentheses, which may hold spaces; the third is the first after it.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ") ?? []
  const device = Number(fields[4])
  const major = (device >> 8) & 0xfff
  const minor = (device & 0xff) | ((device >> 12) & 0xfff00)
  return {
    pid: process.pid,
    process_start: number(Number.parseInt(fields[19], 10)),
    pid_namespace: attempt(() => statSync("/proc/self/ns/pid").ino),
    tty: major >= 136 && major <= 143 ? `/dev/pts/${(major - 136) * 256 + minor}` : undefined,
  }
}

/** Where a person finds the terminal: the same variables that the hook reads. */
const terminal = (tty) => {
  const read = (name) => cut(process.env[name], 128)
  // "socket,server pid,session"; the path may contain commas.
  const [, socket, pid] = /^(.*),(\d+),[^,]*$/.exec(process.env.TMUX ?? "") ?? []
  const screen = read("STY")
  return {
    tty,
    term_program: read("TERM_PROGRAM"),
    tmux: cut(socket, 128),
    tmux_pid: pid && Number(pid),
    tmux_pane: read("TMUX_PANE"),
    screen_session: screen,
    screen_window: screen && read("WINDOW"),
    zellij_session: read("ZELLIJ_SESSION_NAME"),
    zellij_pane: read("ZELLIJ_PANE_ID"),
    wezterm_pane: read("WEZTERM_PANE"),
    wezterm_socket: read("WEZTERM_UNIX_SOCKET"),
    kitty_window: read("KITTY_WINDOW_ID"),
    kitty_listen_on: read("KITTY_LISTEN_ON"),
    iterm_session: read("ITERM_SESSION_ID"),
  }
}

/** Sends lines to the daemon, one connection for all that wait. */
class Sender {
  lines = []
  active = false
  idle = []

  send(line) {
    this.lines.push(line)
    if (this.lines.length > MAX_LINES) this.lines.shift()
    if (!this.active) {
      this.active = true
      // Events of one moment share a connection.
      queueMicrotask(() => this.flush())
    }
  }

  flush() {
    const path = process.env.AGENT_CONSOLE_SOCKET || CONFIGURED_SOCKET || DEFAULT_SOCKET
    const lines = this.lines.splice(0).join("")
    const socket = attempt(() => (lines && isTrusted(path) ? createConnection({ path }) : undefined))
    if (!socket) return this.done()
    let open = true
    const close = () => {
      if (!open) return
      open = false
      clearTimeout(timer)
      this.done()
    }
    const timer = setTimeout(() => {
      attempt(() => socket.destroy())
      close()
    }, SEND_MS)
    attempt(() => timer.unref())
    attempt(() => socket.unref())
    socket.on("error", close)
    socket.on("close", close)
    socket.on("connect", () => attempt(() => socket.end(lines, close)))
  }

  done() {
    if (this.lines.length > 0) return void setTimeout(() => this.flush(), 1).unref?.()
    this.active = false
    for (const resolve of this.idle.splice(0)) resolve()
  }

  /** Resolves when all lines are sent or lost, or after `DISPOSE_MS`. */
  sent() {
    return new Promise((resolve) => {
      if (!this.active) return resolve()
      this.idle.push(resolve)
      setTimeout(resolve, DISPOSE_MS).unref?.()
    })
  }
}

/** Whether the socket is this user's or root's: every user can write to /tmp. */
const isTrusted = (path) => {
  const found = statSync(path)
  const trusted = (entry) => entry.uid === 0 || entry.uid === process.geteuid()
  return path.startsWith("/") && found.isSocket() && trusted(found) && trusted(lstatSync(path))
}

/** Title, model and cost of a session as opencode states them. */
const description = (info) => ({
  cwd: cut(info.directory, 4096),
  // Until the model has named it.
  title: /^(New|Child) session - \d{4}-/.test(info.title) ? undefined : cut(info.title, 256),
  model: cut(info.model?.id ?? info.model?.modelID, 64),
  permission_mode: cut(info.agent, 32),
  cost_usd: number(info.cost),
})

/** What of a tool's input identifies the call for a person. */
const detail = (input, directory) => {
  const path = input?.filePath ?? input?.filepath
  const below = typeof path === "string" && directory && path.startsWith(`${directory}/`)
  const text =
    input?.command ?? (below ? path.slice(directory.length + 1) : path) ?? input?.pattern ?? input?.url ?? input?.query
  return cut(text ?? input?.path ?? input?.description, 256)
}

const questions = (list) =>
  (Array.isArray(list) ? list.slice(0, 4) : []).map((one) => ({
    question: cut(one?.question, 256),
    header: cut(one?.header, 64),
    options: (Array.isArray(one?.options) ? one.options.slice(0, 4) : []).map((option) => ({
      label: cut(option?.label, 64),
    })),
  }))

/** Follows the sessions of this process, and reports what changes. */
class Reporter {
  sender = new Sender()
  mode = mode()
  clients = new Map()
  /** Sessions without a parent, by id: what is known of each. */
  roots = new Map()
  /** Subagents: their ids and those of their parents. */
  parents = new Map()
  /** Subagents that run, also other sessions beside the shown one that have asked. */
  running = new Set()
  messages = new Set()
  tools = new Set()
  events = new Set()
  /** The session on the screen, as far as the events show it. */
  shown = undefined
  /** Whether this version sends `session.status`. */
  hasStatus = false

  constructor() {
    const { tty, ...process } = identity()
    this.report = { agent: "opencode", at: 0, ...process }
    if (this.mode === "shared") this.report.shared = true
    else {
      this.report.attended = this.mode === "terminal"
      this.report.terminal = terminal(tty)
    }
  }

  /** The plugin function was called for a directory. */
  attach(input) {
    const directory = cut(input?.directory, 4096)
    this.clients.set(input, directory)
    if (this.clients.size === 1 && this.mode !== "shared") this.send("init", { cwd: directory })
    return {
      event: async ({ event } = {}) => attempt(() => this.event(event, input)),
      dispose: async () => attempt(() => this.dispose(input)),
    }
  }

  /** A server goes on without a directory; its end is the process's. */
  dispose(input) {
    this.clients.delete(input)
    if (this.clients.size > 0 || this.mode === "shared") return undefined
    this.send("dispose", { session_id: this.shown })
    return this.sender.sent()
  }

  send(event, fields) {
    const params = { ...this.report, at: Date.now(), event: { event, ...fields } }
    this.sender.send(`${JSON.stringify({ jsonrpc: "2.0", method: "session.report", params })}\n`)
  }

  event(event, input) {
    const { id, type, properties } = event ?? {}
    if (typeof type !== "string" || !properties) return
    if (id !== undefined) {
      if (this.events.has(id)) return
      remember(this.events, id)
    }
    const session = properties.sessionID ?? properties.info?.id ?? properties.part?.sessionID
    if (typeof session !== "string") return
    if (properties.info?.parentID && type.startsWith("session.")) {
      remember(this.parents, session, properties.info.parentID)
    }
    if (this.parents.has(session)) this.ofSubagent(type, session, properties, input)
    else this.ofRoot(type, session, properties, input)
  }

  ofSubagent(type, id, properties, input) {
    let session = id
    for (let depth = 0; depth < 8 && this.parents.has(session); depth++) session = this.parents.get(session)
    const status = this.statusOf(type, properties)
    if (!this.isShown(session)) return this.ofHidden(type, id, status, properties, input)
    const where = { session_id: session, subagent: id }
    if (status === "idle") {
      if (this.running.delete(id)) this.send("session.status", { ...where, status })
    } else if (type === "session.created" || status === "busy") {
      remember(this.running, id)
      this.send(type, { ...where, status })
    } else this.ask(type, where, properties, input)
  }

  ofRoot(type, id, properties, input) {
    const root = this.roots.get(id) ?? remember(this.roots, id, { isOpen: false, outcome: undefined })
    const status = this.statusOf(type, properties)
    if (type === "session.created" || type === "session.updated") this.describe(root, properties.info)
    if (type === "session.created") {
      this.shown = id
      root.isOpen = false
      return this.send(type, { session_id: id, ...root.description })
    }
    const isPrompt = type === "message.updated" && this.isNewPrompt(properties.info)
    const shown = this.roots.get(this.shown)
    if (isPrompt || (status === "busy" && !shown?.isOpen)) this.show(id, root)
    if (!this.isShown(id)) return this.ofHidden(type, id, status, properties, input)
    const where = { session_id: id }
    if (isPrompt) {
      // A prompt that is typed while a turn runs joins it: no event separates them.
      this.send(type, { ...where, ...root.description, status: root.isOpen ? "queued" : undefined })
      root.isOpen = true
      root.outcome = undefined
    } else if (status === "busy") {
      root.isOpen = true
      root.outcome = undefined
      this.send(type, { ...where, status })
    } else if (status === "retry") {
      root.isOpen = true
      // A person's Esc ends it without a word.
      root.outcome = "interrupted"
      this.send(type, { ...where, status, message: cut(properties.status.message, 256) })
    } else if (status === "idle") {
      if (root.isOpen) this.send("session.status", { ...where, status, outcome: root.outcome })
      root.isOpen = false
      root.outcome = undefined
    } else if (type === "session.error") this.failed(root, where, properties.error)
    else if (type === "session.updated" && root.isChanged) {
      root.isChanged = false
      this.send(type, { ...where, ...root.description })
    } else if (type === "message.updated") this.answer(root, where, properties.info, input)
    else if (type === "message.part.updated") this.tool(root, where, properties.part, input)
    else if (this.ask(type, where, properties, input)) {
      root.isOpen = true
      const isRefused = properties.reply === "reject" || type === "question.rejected"
      // The turn may go on nevertheless: then it is busy again.
      root.outcome = isRefused ? "interrupted" : undefined
    }
  }

  /** Of another session than the one on the screen only what it asks matters, and counts as a subagent's. */
  ofHidden(type, id, status, properties, input) {
    const where = { session_id: this.shown, subagent: id }
    if (this.ask(type, where, properties, input)) remember(this.running, id)
    else if (status === "idle" && this.running.delete(id)) this.send("session.status", { ...where, status })
  }

  /** `busy`, `retry`, `idle`; versions without `session.status` only say the last. */
  statusOf(type, properties) {
    if (type === "session.status") {
      this.hasStatus = true
      return properties.status?.type
    }
    return type === "session.idle" && !this.hasStatus ? "idle" : undefined
  }

  isShown(root) {
    if (this.mode === "shared") return true
    this.shown ??= root
    return this.shown === root
  }

  /** A person works in this session now. */
  show(id, root) {
    if (this.isShown(id)) return
    this.shown = id
    this.send("session.selected", { session_id: id, ...root.description })
  }

  describe(root, info) {
    const found = description(info ?? {})
    root.isChanged = JSON.stringify(found) !== JSON.stringify(root.description)
    root.description = found
  }

  /** True once for each message of a person. */
  isNewPrompt(info) {
    if (info?.role !== "user" || this.messages.has(info.id)) return false
    remember(this.messages, info.id)
    return !(info.time?.created < Date.now() - NEW_MS)
  }

  failed(root, where, error) {
    const name = cut(error?.name, 64)
    root.outcome = name === ABORTED ? "interrupted" : "failed"
    root.isOpen = true
    this.send("session.error", { ...where, error: name, status_code: number(error?.data?.statusCode) })
  }

  /** True if the event is about a question to a person. */
  ask(type, where, properties, input) {
    const request = cut(properties.id, 128)
    const answered = cut(properties.requestID, 128)
    if (type === "permission.asked") {
      const { metadata, permission, patterns } = properties
      const about = detail(metadata, this.clients.get(input)) ?? cut(patterns?.[0], 256)
      this.send(type, { ...where, request_id: request, tool: cut(permission, 64), detail: about })
    } else if (type === "question.asked") {
      this.send(type, { ...where, request_id: request, questions: questions(properties.questions) })
    } else if (["permission.replied", "question.replied", "question.rejected"].includes(type)) {
      this.send(type, { ...where, request_id: answered })
    } else return false
    return true
  }

  /** A tool's call, once when it runs and once when it has ended. What belongs to no open turn is late. */
  tool(root, where, part, input) {
    const status = part?.state?.status
    if (part?.type !== "tool" || !root.isOpen || root.outcome) return
    const isRunning = this.tools.has(part.callID)
    if (status === "running" && !isRunning) remember(this.tools, part.callID)
    else if ((status === "completed" || status === "error") && isRunning) this.tools.delete(part.callID)
    else return
    const about = detail(part.state.input, this.clients.get(input))
    this.send("message.part.updated", { ...where, status, tool: cut(part.tool, 64), detail: about })
  }

  /** An answer of the model: whether a person has interrupted it, and how full the context is. */
  answer(root, where, info, input) {
    // While a session starts, an interrupt has no `session.error`.
    if (info?.error?.name === ABORTED && root.isOpen) root.outcome = "interrupted"
    const tokens = info?.tokens
    const limit = this.limitOf(info, input)
    if (!limit || !tokens || !info.time?.completed) return
    const used = (tokens.input ?? 0) + (tokens.output ?? 0) + (tokens.cache?.read ?? 0) + (tokens.cache?.write ?? 0)
    const percent = Math.round((1000 * used) / limit) / 10
    if (!used || root.percent === percent) return
    root.percent = percent
    this.send("session.updated", { ...where, context_percent: percent })
  }

  /** The context of a model in tokens; asks for all models once. */
  limitOf(info, input) {
    if (info?.role !== "assistant") return undefined
    if (!this.limits) {
      this.limits = new Map()
      const learn = (answer) => {
        for (const provider of answer?.data?.providers ?? []) {
          for (const [id, model] of Object.entries(provider.models ?? {})) {
            this.limits.set(`${provider.id}/${id}`, number(model?.limit?.context))
          }
        }
      }
      attempt(() => input?.client?.config?.providers?.()?.then(learn)?.catch(() => {}))
    }
    return this.limits.get(`${info.providerID}/${info.modelID}`)
  }
}

export const AgentConsole = async (input) =>
  attempt(() => (globalThis[KEY] ??= new Reporter()).attach(input)) ?? {}
