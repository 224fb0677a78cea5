//! What the agent does for each act, and what must be shown then.

use serde_json::{Value, json};

use super::acts::{Act, Announced, Answer, Task, TaskEnd, Tool};
use super::agent::{Agent, Evidence};

impl Agent {
    pub(super) fn act(&mut self, act: Act) {
        match act {
            Act::Turn(tools) => self.turn(tools),
            Act::Ask(tool, announced, answer) => self.ask(tool, announced, answer),
            Act::Interrupt => {
                self.prompt();
                self.wait(200, 2000);
                self.registry("idle", None);
                self.check("idle");
            }
            Act::InterruptTool => {
                self.prompt();
                self.tool("Bash");
                self.wait(200, 2000);
                self.registry("idle", None);
                self.check("idle");
            }
            Act::Queue => self.queue(),
            Act::Subagent(asks) => self.subagent(asks),
            Act::Background(task, end) => self.background(task, end),
            Act::Schedule => self.schedule(),
            Act::Silent(tools) => self.silent(tools),
            Act::FallSilent => self.fall_silent(),
            Act::LostEnd => self.lose_end(),
            Act::Fail => self.fail(),
            Act::Menu => {
                self.registry("waiting", Some("dialog open"));
                self.check("waiting/dialog!");
                self.registry("idle", None);
                self.check("as before, and looked at");
            }
            Act::Flash => {
                let at = self.now;
                self.registry_at(at, "busy", None);
                self.registry_at(at + 30, "idle", None);
                // Looked at, if the registry was read in between.
                self.check("as before");
            }
            Act::Bang => self.bang(),
            Act::Clear => {
                self.registry("busy", None);
                self.hook("SessionEnd", &json!({"reason": "clear"}));
                self.session += 1;
                self.wait(10, 20);
                self.hook("SessionStart", &json!({"source": "clear"}));
                self.now += 60;
                self.registry("idle", None);
                self.check("idle");
            }
            Act::Suspend => self.suspends(),
            Act::StopBlocked => {
                self.prompt();
                self.stop(&json!([]));
                self.check("working");
                self.stop(&json!([]));
                self.idle();
                self.check("idle!");
            }
        }
    }

    /// Ctrl-Z and `fg`, at rest and at work.
    fn suspends(&mut self) {
        self.suspend("as before, and stopped");
        self.prompt();
        self.tool("Bash");
        self.check("working");
        self.suspend("working!");
        self.check("working");
        self.tool_done("Bash");
        self.stop(&json!([]));
        self.idle();
        self.check("idle!");
    }

    /// Ctrl-Z: no other source says anything until `fg`, some time later.
    fn suspend(&mut self, shown: &'static str) {
        for stopped in [true, false] {
            self.wait(0, 2000);
            let seen = self.now + self.chance(1000);
            self.evidence.push((seen, Evidence::Seen { stopped }));
            if stopped {
                self.check(shown);
            } else {
                self.now = seen + 1;
            }
        }
    }

    fn turn(&mut self, tools: u8) {
        self.prompt();
        for _ in 0..tools {
            self.tool("Read");
            self.tool_done("Read");
        }
        self.check("working");
        self.stop(&json!([]));
        self.idle();
        self.check("idle!");
    }

    fn queue(&mut self) {
        self.prompt();
        self.check("working");
        self.hook("UserPromptSubmit", &json!({"prompt": "and this"}));
        self.check("working");
        self.stop(&json!([]));
        self.prompt += 1;
        self.flash_idle();
        self.check("working");
        self.stop(&json!([]));
        self.idle();
        self.check("idle!");
    }

    fn schedule(&mut self) {
        self.prompt();
        let crons = json!([{"id": "c1", "schedule": "* * * * *"}]);
        self.hook(
            "Stop",
            &json!({"background_tasks": [], "session_crons": crons}),
        );
        self.idle();
        self.check("idle");
        self.wait(60_000, 60_000);
        self.prompt();
        self.check("working");
        self.stop(&json!([]));
        self.idle();
        self.check("idle!");
    }

    fn silent(&mut self, tools: u8) {
        self.is_silent = true;
        self.prompt();
        for _ in 0..tools {
            self.tool("Read");
            self.tool_done("Read");
        }
        self.check("working");
        self.idle();
        self.check("idle!");
        self.is_silent = false;
    }

    fn fall_silent(&mut self) {
        self.prompt();
        self.is_silent = true;
        self.wait(200, 2000);
        self.idle();
        // It could be an interrupt: a hook has reported its beginning.
        self.check("idle");
        self.prompt();
        self.check("working");
        self.idle();
        self.check("idle!");
        self.is_silent = false;
    }

    fn lose_end(&mut self) {
        self.prompt();
        self.tool("Read");
        self.tool_done("Read");
        self.idle();
        self.check("idle");
        self.now += 60_000;
        self.hook("Notification", &json!({"notification_type": "idle_prompt"}));
        self.check("idle!");
    }

    fn fail(&mut self) {
        self.prompt();
        let (before, after) = (self.chance(2) == 0, self.chance(50));
        if before {
            self.registry("idle", None);
        }
        self.hook("StopFailure", &json!({"error": "server_error"}));
        self.now += after;
        if !before {
            self.registry("idle", None);
        }
        self.check("error!");
    }

    fn bang(&mut self) {
        self.registry("busy", None);
        self.check("working");
        if self.chance(2) == 0 {
            self.stop(&json!([]));
            self.idle();
            self.check("idle!");
        } else {
            // Esc, or its end: there is no telling.
            self.registry("idle", None);
            self.check("idle!");
        }
    }

    fn ask(&mut self, tool: Tool, announced: Announced, answer: Answer) {
        let (name, waiting, shown) = match tool {
            Tool::Bash => ("Bash", "permission prompt", "waiting/permission!"),
            Tool::Question => ("AskUserQuestion", "input needed", "waiting/answer!"),
            Tool::Plan => ("ExitPlanMode", "permission prompt", "waiting/plan!"),
        };
        self.prompt();
        self.tool(name);
        if announced == Announced::ByRequest || answer == Answer::Hook {
            self.hook("PermissionRequest", &json!({"tool_name": name}));
        }
        if answer == Answer::Hook {
            self.check("working");
        } else {
            self.registry("waiting", Some(waiting));
            self.check(shown);
            self.now += 5000;
            let reminder = json!({"notification_type": "permission_prompt"});
            if self.chance(2) == 0 {
                self.hook("Notification", &reminder);
                self.check(shown);
            }
            if answer == Answer::No {
                self.registry("idle", None);
                self.check("idle");
                return;
            }
            self.registry("busy", None);
            self.now += 70;
            if self.chance(2) == 0 {
                // About what has just been answered.
                self.hook("Notification", &reminder);
            }
            self.check("working");
        }
        self.tool_done(name);
        self.check("working");
        self.stop(&json!([]));
        self.idle();
        self.check("idle!");
    }

    fn subagent(&mut self, asks: Option<Answer>) {
        self.prompt();
        let id = format!("a{}", self.prompt);
        let of = json!({"agent_id": id});
        let with = |fields: Value| {
            let mut fields = fields;
            fields["agent_id"] = id.clone().into();
            fields
        };
        self.tool("Agent");
        self.hook("SubagentStart", &of);
        self.tool_done("Agent");
        self.stop(&json!([{"id": id, "type": "subagent", "status": "running"}]));
        self.check("working +1 subagent");
        self.hook("PreToolUse", &with(json!({"tool_name": "Bash"})));
        if let Some(answer) = asks {
            self.hook("PermissionRequest", &with(json!({"tool_name": "Bash"})));
            self.registry("waiting", Some("permission prompt"));
            self.check("waiting/permission! +1 subagent");
            self.registry("busy", None);
            self.check("working +1 subagent");
            if answer == Answer::Yes {
                self.hook("PostToolUse", &with(json!({"tool_name": "Bash"})));
            }
        } else {
            self.hook("PostToolUse", &with(json!({"tool_name": "Bash"})));
        }
        self.hook("PostToolBatch", &of);
        self.wait(50, 500);
        self.hook("SubagentStop", &of);
        self.report_task(&id);
    }

    fn background(&mut self, task: Task, end: TaskEnd) {
        let (kind, shown) = match task {
            Task::Shell => ("shell", "idle! +1 shell"),
            Task::Monitor => ("monitor", "idle"),
        };
        self.prompt();
        self.tool("Bash");
        self.tool_done("Bash");
        self.stop(&json!([{"id": format!("b{}", self.prompt), "type": kind, "status": "running"}]));
        self.wait(30, 30);
        self.registry("shell", None);
        self.check(shown);
        self.now += 60_000;
        if self.chance(2) == 0 {
            self.hook("Notification", &json!({"notification_type": "idle_prompt"}));
            self.check(shown);
        }
        match end {
            TaskEnd::Reports => self.report_task(&format!("b{}", self.prompt)),
            TaskEnd::Unseen => {
                self.registry("idle", None);
                self.now += 3000;
                self.check("idle!");
            }
        }
    }

    /// A background task has ended, and the agent prompts itself.
    fn report_task(&mut self, id: &str) {
        self.prompt += 1;
        self.flash_idle();
        let notice = format!("<task-notification>\n<task-id>{id}</task-id>\ndone");
        self.hook("UserPromptSubmit", &json!({"prompt": notice}));
        self.check("working");
        self.stop(&json!([]));
        self.idle();
        self.check("idle!");
    }

    /// Idle for a moment between two turns.
    fn flash_idle(&mut self) {
        let at = self.now + self.chance(30);
        let length = 10 + self.chance(20);
        self.registry_at(at, "idle", None);
        self.registry_at(at + length, "busy", None);
    }
}
