use clap::ValueEnum;
use serde_json::{Value, json};

use super::line::{Content, Format, disconnected, line};
use crate::format;
use crate::protocol::{SessionGroup, SessionRecord, Usage};

fn session(key: &str, fields: Value) -> SessionRecord<'static> {
    let mut record = json!({"key": key, "agent": "claude-code", "since": 7, "started_at": 0});
    let Value::Object(fields) = fields else {
        panic!("no object: {fields}");
    };
    record.as_object_mut().unwrap().extend(fields);
    serde_json::from_value(record).unwrap()
}

fn some() -> Vec<SessionRecord<'static>> {
    vec![
        session("a", json!({"status": "working", "cwd": "/home/ada/shop/"})),
        session(
            "b",
            json!({"status": "waiting", "waiting_for": "permission", "attention": true,
            "reason": "permission: Bash <rm> \"a\" & 'b'\u{1b}[2J", "title": "Tidy #[fg=red] %{F-}"}),
        ),
        session("c", json!({"status": "idle"})),
        session("d", json!({"status": "closed", "attention": true})),
        session(
            "e",
            json!({"status": "idle", "attention": true, "since": 3, "title": "Docs"}),
        ),
        session(
            "f",
            json!({"status": "error", "attention": true, "since": 9}),
        ),
    ]
}

fn of(format: Format, sessions: &[SessionRecord<'static>]) -> String {
    line(format, Some(&Content::of_sessions(sessions)), None)
}

#[test]
fn each_bar_gets_its_own_format() {
    let sessions = some();
    assert_eq!(
        of(Format::Plain, &sessions),
        "1 waiting · 1 failed · 1 finished · 1 working"
    );
    assert_eq!(of(Format::Plain, &sessions[2..3]), "1 idle");
    assert_eq!(
        of(Format::Tmux, &sessions[..2]),
        "#[fg=black,bg=yellow] 1 waiting #[default] · 1 working"
    );
    assert_eq!(
        of(Format::Polybar, &sessions[..2]),
        "%{F#d79921}1 waiting%{F-} · %{F#3f9fa8}1 working%{F-}"
    );
    assert_eq!(
        of(Format::Sketchybar, &sessions[..2]),
        "drawing=on label=\"1 waiting · 1 working\" label.color=0xffd79921"
    );
    assert_eq!(
        of(Format::I3blocks, &sessions[..2]),
        r##"{"full_text":"1 waiting · 1 working","short_text":"1 waiting","color":"#d79921"}"##
    );
}

#[test]
fn counts_make_the_same_line_as_the_sessions() {
    let mut sessions = some();
    sessions[1].agent = "codex".into();
    let mut groups: Vec<SessionGroup<'_>> = Vec::new();
    for session in sessions.iter().chain(&some()).filter(|it| it.key != "d") {
        let (status, attention) = (session.status, session.attention);
        let alike = |group: &&mut SessionGroup<'_>| {
            (&group.agent, group.status, group.attention) == (&session.agent, status, attention)
        };
        match groups.iter_mut().find(alike) {
            Some(group) => group.count += 1,
            None => groups.push(SessionGroup {
                agent: session.agent.clone(),
                status,
                attention,
                stopped: false,
                count: 1,
            }),
        }
    }
    let all: Vec<_> = sessions.into_iter().chain(some()).collect();
    let counted = Content::of_groups(groups);
    for format in Format::value_variants() {
        if !format.names_sessions() {
            assert_eq!(line(*format, Some(&counted), None), of(*format, &all));
        }
    }
    assert_eq!(
        line(Format::Plain, Some(&counted), None),
        "2 waiting (CC, CX) · 2 failed (CC) · 2 finished (CC) · 2 working"
    );
}

#[test]
fn where_there_are_several_agents_their_signs_say_whose_sessions_need_a_person() {
    let mut sessions = some();
    sessions[1].agent = "codex".into();
    sessions[4].agent = "#[fg=red]".into();
    sessions[5].agent = "%{F-}".into();
    assert_eq!(
        of(Format::Plain, &sessions),
        "1 waiting (CX) · 1 failed (f) · 1 finished (fr) · 1 working"
    );
    let waybar: Value = serde_json::from_str(&of(Format::Waybar, &sessions)).unwrap();
    let tooltip = waybar["tooltip"].as_str().unwrap();
    assert!(tooltip.contains("CC  working  shop"), "{tooltip}");
    let many: Vec<_> = ["codex", "gemini", "make", "opencode", "copilot"]
        .into_iter()
        .map(|agent| {
            let fields = json!({"status": "waiting", "attention": true, "agent": agent});
            session(agent, fields)
        })
        .collect();
    assert_eq!(of(Format::Plain, &many), "5 waiting (CX, CP, GM, …)");
}

#[test]
fn waybars_tooltip_escapes_text_from_agents() {
    let output: Value = serde_json::from_str(&of(Format::Waybar, &some())).unwrap();
    assert_eq!(
        output["text"],
        "1 waiting · 1 failed · 1 finished · 1 working"
    );
    assert_eq!(
        (&output["class"], &output["alt"]),
        (&json!("waiting"), &json!("waiting"))
    );
    let tooltip = output["tooltip"].as_str().unwrap();
    let rows: Vec<_> = tooltip.lines().collect();
    assert_eq!(
        rows,
        [
            "idle  Docs",
            "waiting: permission  Tidy #[fg=red] %{F-}  \
             permission: Bash &lt;rm&gt; &quot;a&quot; &amp; &#39;b&#39;\u{fffd}[2J",
            "error  f",
            "working  shop",
            "idle  c",
        ]
    );
    let many: Vec<_> = (0..20)
        .map(|n| session(&n.to_string(), json!({"status": "working"})))
        .collect();
    let output: Value = serde_json::from_str(&of(Format::Waybar, &many)).unwrap();
    assert!(
        output["tooltip"]
            .as_str()
            .unwrap()
            .ends_with("\nand 8 more"),
        "{output}"
    );
}

#[test]
fn json_has_the_counts_and_the_session_that_has_waited_longest_first() {
    let output: Value = serde_json::from_str(&of(Format::Json, &some())).unwrap();
    for (field, count) in [
        ("waiting", 1),
        ("failed", 1),
        ("finished", 1),
        ("working", 1),
        ("idle", 1),
    ] {
        assert_eq!(output[field], count, "{field}: {output}");
    }
    let keys: Vec<_> = output["attention"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["key"])
        .collect();
    assert_eq!(keys, ["e", "b", "f"]);
    assert_eq!(output["attention"][1]["waiting_for"], "permission");
    assert_eq!(output["connected"], true);
}

#[test]
fn an_empty_line_is_valid() {
    for format in [Format::Plain, Format::Tmux, Format::Polybar] {
        assert_eq!(
            (of(format, &[]), disconnected(format)),
            (String::new(), String::new())
        );
    }
    assert_eq!(disconnected(Format::Sketchybar), "drawing=off label=\"\"");
    assert_eq!(
        disconnected(Format::I3blocks),
        r#"{"full_text":"","short_text":""}"#
    );
    let class = |line: String| {
        let output: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&output["text"], &output["tooltip"]),
            (&json!(""), &json!(""))
        );
        output["class"].clone()
    };
    assert_eq!(class(of(Format::Waybar, &[])), "none");
    assert_eq!(class(disconnected(Format::Waybar)), "off");
    let output: Value = serde_json::from_str(&disconnected(Format::Json)).unwrap();
    assert_eq!(
        (&output["connected"], &output["attention"]),
        (&json!(false), &json!([]))
    );
}

#[test]
fn the_limit_used_most_names_its_account_where_there_are_several() {
    let window = |used| json!([{"name": "five_hour", "used_percent": used}]);
    let account = |name: &str, used: f64| {
        json!({"account": name, "agent": "claude-code", "state": "ok",
            "windows": window(used)})
    };
    let of = |accounts: Value| {
        let usage = json!({"state": "ok", "windows": window(42.0), "accounts": accounts});
        let usage = serde_json::from_value(usage).unwrap();
        line(
            Format::Tmux,
            Some(&Content::of_sessions(&some()[..1])),
            Some(&usage),
        )
    };
    let default = account("default", 42.0);
    assert_eq!(of(json!([default])), "1 working · 5h 42 %");
    let work = account("work#[fg=red]", 91.0);
    assert_eq!(
        of(json!([default, work])),
        "1 working · work__fg_red_ 5h 91 %"
    );
}

#[test]
fn the_limit_used_most_comes_last() {
    let usage = serde_json::from_value(json!({"state": "ok", "windows": [
        {"name": "five_hour", "used_percent": 42.4}, {"name": "seven_day", "used_percent": 8},
    ]}))
    .unwrap();
    let sessions = some();
    let of = |format| {
        line(
            format,
            Some(&Content::of_sessions(&sessions[..2])),
            Some(&usage),
        )
    };
    assert_eq!(of(Format::Plain), "1 waiting · 1 working · 5h 42 %");
    let json: serde_json::Value = serde_json::from_str(&of(Format::Json)).unwrap();
    assert_eq!(
        json["limits"][0],
        json!({"name": "five_hour", "used_percent": 42.4})
    );
    let none = line(Format::Plain, Some(&Content::of_sessions([])), Some(&usage));
    assert_eq!(none, "");
}

/// What each bar interprets: tmux's `#`, polybar's `%{`, the quotes that end sketchybar's label, Pango's markup, and what
/// steers the terminal that a line is printed on.
#[test]
fn no_text_from_outside_steers_a_bar() {
    let hostile =
        "x#[bg=red]#(touch p)%{A1:t:}\"'<b>&;\\$`\u{9b}2J\u{7f}\u{202e}\u{2066}\u{1b}[2J\n";
    let fields = json!({"status": "waiting", "attention": true, "agent": hostile, "title": hostile,
        "reason": hostile, "cwd": hostile, "account": hostile, "model": hostile, "question": hostile});
    let sessions = [
        session(hostile, fields),
        session("b", json!({"status": "waiting", "attention": true})),
    ];
    let window = |name: &str| json!({"name": name, "used_percent": 97.0});
    let account = |name: &str| json!({"account": name, "agent": hostile, "state": "ok", "windows": [window(hostile)]});
    let one = json!({"state": "ok", "windows": [window(hostile)]});
    let several = json!({"state": "ok", "windows": [window(&format!("five_hour_{hostile}"))],
        "accounts": [account(hostile), account("work")]});
    for usage in [one, several] {
        let usage: Usage<'static> = serde_json::from_value(usage).unwrap();
        for format in Format::value_variants() {
            let text = line(
                *format,
                Some(&Content::of_sessions(&sessions)),
                Some(&usage),
            );
            assert_eq!(format::sanitize(&text), text, "{format:?}");
            assert!(text.contains("97") && text.contains('x'), "{text}");
            let shown = match format {
                Format::Json => continue,
                Format::Waybar | Format::I3blocks => {
                    let block: Value = serde_json::from_str(&text).unwrap();
                    if let Some(tooltip) = block["tooltip"].as_str() {
                        assert!(!tooltip.contains(['<', '>', '"']), "{tooltip}");
                        assert!(tooltip.contains("&lt;b&gt;&amp;"), "{tooltip}");
                    }
                    block["text"]
                        .as_str()
                        .or(block["full_text"].as_str())
                        .unwrap()
                        .to_owned()
                }
                Format::Tmux => text
                    .replace("#[fg=black,bg=yellow]", "")
                    .replace("#[default]", ""),
                Format::Polybar => text.replace("%{F#d79921}", "").replace("%{F-}", ""),
                Format::Sketchybar => {
                    let label = text.strip_prefix("drawing=on label=\"").unwrap();
                    label
                        .strip_suffix("\" label.color=0xffd79921")
                        .unwrap()
                        .to_owned()
                }
                Format::Plain => text.clone(),
            };
            let markup = [
                '#', '{', '}', '[', '"', '\'', '<', '>', '&', ';', '\\', '$', '`',
            ];
            assert!(!shown.contains(markup), "{format:?}: {text}");
        }
    }
}
