//! The desktop's notifications, by D-Bus: the interface `org.freedesktop.Notifications` of the Desktop Notifications
//! Specification 1.2.
//!
//! A number of a notification means nothing to another server, and not to the same one after its restart, so a
//! [`NotificationId`] has a sum of the server's identity in it: another program's notification is never closed.

use std::collections::HashMap;
use std::ffi::OsString;
use std::future::poll_fn;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::timeout;
use zbus::connection::Builder;
use zbus::export::futures_core::Stream;
use zbus::fdo::{DBusProxy, RequestNameFlags};
use zbus::message::Type;
use zbus::names::{BusName, WellKnownName};
use zbus::{Connection, MatchRule, Message, MessageStream, Proxy, Variant};

use super::Notification;
use crate::os::process_environment::ProcessEnvironment;
use crate::reminders::{Cause, NotificationId};

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";

/// The bus itself.
const BUS: &str = "org.freedesktop.DBus";

/// How long the bus and the server may take for one answer. A server that the bus must start first needs a moment.
const LIMIT: Duration = Duration::from_secs(5);

/// The names of the actions. A click on the notification itself is `default` (specification, "Actions").
const ACTIONS: [&str; 4] = ["default", "Go there", "go", "Go there"];

/// The program that shows the desktop's notifications, as it is now.
pub(crate) struct Server {
    runtime: Runtime,
    connection: Connection,
    /// Where the bus is.
    pub(super) address: String,
    messages: MessageStream,
    /// Its own name on the bus, which no other ever has: `:1.7`.
    owner: String,
    identity: u32,
    environment: Option<ProcessEnvironment>,
    capabilities: Vec<String>,
    /// What it calls itself: `dunst 1.9.0`.
    pub(crate) title: String,
}

/// What has happened to a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A person has pressed its action.
    Pressed,
    /// It is not on the screen any more, or another process holds it.
    Over,
}

/// Where the session bus is (`sd_bus_default_user(3)`).
fn bus_address(variable: impl Fn(&str) -> Option<OsString>) -> Result<String, String> {
    let named = variable("DBUS_SESSION_BUS_ADDRESS");
    let usual = || {
        let bus = PathBuf::from(variable("XDG_RUNTIME_DIR")?).join("bus");
        bus.exists()
            .then(|| format!("unix:path={}", bus.display()).into())
    };
    let address = named.or_else(usual).map(OsString::into_string);
    let none =
        "there is no session bus: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR names one";
    address
        .ok_or(none)?
        .map_err(|_| "the session bus's address is not UTF-8".to_owned())
}

async fn connect(address: &str) -> Result<impl FnOnce(Runtime) -> Server + use<>, String> {
    let none = |error| format!("there is no session bus: {error}");
    let connection = Builder::address(address);
    let connection = connection.build().await.map_err(none)?;
    let address = address.to_owned();
    let messages = MessageStream::from(&connection);
    let none = |error: zbus::Error| format!("no program shows notifications: {error}");
    let proxy = Proxy::new(&connection, NAME, PATH, NAME)
        .await
        .map_err(none)?;
    let (name, _, version, _): (String, String, String, String) = proxy
        .call("GetServerInformation", &())
        .await
        .map_err(none)?;
    let capabilities = proxy.call("GetCapabilities", &()).await.map_err(none)?;
    let bus = DBusProxy::new(&connection).await.map_err(none)?;
    let server = BusName::try_from(NAME).map_err(none)?;
    let owner = bus.get_name_owner(server.clone()).await;
    let owner = owner.map_err(|error| none(error.into()))?.to_string();
    let pid = bus.get_connection_unix_process_id(server).await.ok();
    let mut hasher = DefaultHasher::new();
    (connection.server_guid().as_str(), &owner).hash(&mut hasher);
    let [.., a, b, c, d] = hasher.finish().to_be_bytes();
    drop(proxy);
    drop(bus);
    Ok(move |runtime| Server {
        runtime,
        connection,
        address,
        messages,
        owner,
        identity: u32::from_be_bytes([a, b, c, d]),
        environment: pid.and_then(ProcessEnvironment::of),
        capabilities,
        title: format!("{name} {version}"),
    })
}

impl Server {
    /// Finds the server of the session that the variables name; the bus starts it if it can.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(crate) fn find_by(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, String> {
        let address = bus_address(variable)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let found = runtime.block_on(async { timeout(LIMIT, connect(&address)).await });
        let late = || {
            format!(
                "the session bus does not answer within {} s",
                LIMIT.as_secs()
            )
        };
        let found = found.map_err(|_| late())??;
        Ok(found(runtime))
    }

    /// The environment of the server: it names the display that its person looks at.
    pub(crate) fn environment(&self) -> Option<&ProcessEnvironment> {
        self.environment.as_ref()
    }

    fn can(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|can| can == capability)
    }

    /// Whether a notification can have an action.
    pub(super) fn has_actions(&self) -> bool {
        self.can("actions")
    }

    /// Takes notifications from the screen; one of another server, or that is gone already, is no error.
    pub(super) fn close(&self, ids: &[NotificationId]) -> Result<(), String> {
        for id in ids.iter().filter_map(|id| self.number(*id)) {
            self.wait(async {
                let proxy = self.proxy().await?;
                // It may be an error to close one that is gone.
                match proxy.call::<_, _, ()>("CloseNotification", &(id,)).await {
                    Err(zbus::Error::MethodError(..)) => Ok(()),
                    result => result,
                }
            })?;
        }
        Ok(())
    }

    /// Has the bus send what happens to notifications from now on.
    pub(super) fn listen(&self) -> Result<(), String> {
        self.wait(async {
            let bus = DBusProxy::new(&self.connection).await?;
            let signals = MatchRule::builder()
                .msg_type(Type::Signal)
                .sender(&*self.owner)
                .interface(NAME);
            bus.add_match_rule(signals.build()?).await?;
            let owner = MatchRule::builder()
                .msg_type(Type::Signal)
                .sender(BUS)
                .member("NameOwnerChanged")
                .arg(0, NAME);
            bus.add_match_rule(owner.build()?).await?;
            Ok(())
        })
    }

    /// Shows a notification.
    pub(super) fn show(&self, notification: &Notification) -> Result<NotificationId, String> {
        let replaces = notification.replaces.and_then(|id| self.number(id));
        let body = if self.can("body-markup") {
            escape(&notification.body)
        } else {
            notification.body.clone()
        };
        let look = look(notification.cause);
        let category = format!("x-agent-console.{}", notification.cause.as_str());
        let hints = HashMap::from([
            ("urgency", Variant::from(look.urgency)),
            ("category", Variant::from(category)),
        ]);
        let has_action = notification.action.is_some() && self.has_actions();
        let actions: &[&str] = if has_action { &ACTIONS } else { &[] };
        let call = (
            "agent-console",
            replaces.unwrap_or(0),
            look.icon,
            &*notification.summary,
            &*body,
            actions,
            hints,
            look.expires_ms,
        );
        let number: u32 = self.wait(async {
            let proxy = self.proxy().await?;
            proxy.call("Notify", &call).await
        })?;
        Ok(u64::from(self.identity) << 32 | u64::from(number))
    }

    /// Takes a notification over from the process that has held it so far, if one has, which ends then.
    pub(super) fn take_over(&self, id: NotificationId) -> Result<(), String> {
        let name = holder_name(id);
        self.wait(async {
            // The process that had the name gets no place in a queue.
            let flags = RequestNameFlags::default();
            let bus = DBusProxy::new(&self.connection).await?;
            bus.request_name(WellKnownName::try_from(&*name)?, flags)
                .await?;
            Ok(())
        })
    }

    /// Waits for what happens to a notification.
    pub(super) fn next_event(&mut self, id: NotificationId) -> Event {
        let number = self.number(id);
        let holder = holder_name(id);
        let (messages, owner) = (&mut self.messages, &*self.owner);
        self.runtime.block_on(async {
            // An error or the end: the bus is gone.
            while let Some(Ok(message)) = next(messages).await {
                if let Some(event) = event(&message, owner, number, &holder) {
                    return event;
                }
            }
            Event::Over
        })
    }

    async fn proxy(&self) -> zbus::Result<Proxy<'_>> {
        Proxy::new(&self.connection, &*self.owner, PATH, NAME).await
    }

    fn wait<T>(&self, answer: impl Future<Output = zbus::Result<T>>) -> Result<T, String> {
        let answer = self
            .runtime
            .block_on(async { timeout(LIMIT, answer).await });
        let title = &self.title;
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(format!("{title} shows no notification: {error}")),
            Err(_) => Err(format!(
                "{title} does not answer within {} s",
                LIMIT.as_secs()
            )),
        }
    }

    /// The server's own number of a notification, if it is this server's.
    fn number(&self, id: NotificationId) -> Option<u32> {
        let [a, b, c, d, number @ ..] = id.to_be_bytes();
        (self.identity == u32::from_be_bytes([a, b, c, d])).then(|| u32::from_be_bytes(number))
    }
}

/// The name on the bus of the process that holds a notification.
fn holder_name(id: NotificationId) -> String {
    format!("agent_console.notification.n{id}")
}

async fn next(messages: &mut MessageStream) -> Option<zbus::Result<Message>> {
    poll_fn(|context| Pin::new(&mut *messages).poll_next(context)).await
}

/// What a message says of a notification, which the server calls `number`. Any program on the bus may send a message to this
/// one: only the server, whose name is `owner`, and the bus itself count.
fn event(message: &Message, owner: &str, number: Option<u32>, holder: &str) -> Option<Event> {
    let header = message.header();
    if header.message_type() != Type::Signal {
        return None;
    }
    let body = message.body();
    let sender = header.sender()?.as_str();
    match header.member()?.as_str() {
        "ActionInvoked" if sender == owner => {
            let (id, _): (u32, String) = body.deserialize().ok()?;
            (Some(id) == number).then_some(Event::Pressed)
        }
        "NotificationClosed" if sender == owner => {
            let (id, _): (u32, u32) = body.deserialize().ok()?;
            (Some(id) == number).then_some(Event::Over)
        }
        "NameOwnerChanged" if sender == BUS => Some(Event::Over),
        "NameLost" if sender == BUS => {
            let name: String = body.deserialize().ok()?;
            (name == holder).then_some(Event::Over)
        }
        _ => None,
    }
}

/// How a notification looks.
struct Look {
    /// Specification, "Urgency Levels".
    urgency: u8,
    /// Icon Naming Specification.
    icon: &'static str,
    /// 0: it stays until it is closed; -1: as long as the server's are shown.
    expires_ms: i32,
}

fn look(cause: Cause) -> Look {
    match cause {
        // Not critical: that would break through a person's "do not disturb".
        Cause::Waiting => Look {
            urgency: 1,
            icon: "dialog-question",
            expires_ms: 0,
        },
        Cause::Error => Look {
            urgency: 1,
            icon: "dialog-error",
            expires_ms: 0,
        },
        Cause::Finished => Look {
            urgency: 0,
            icon: "dialog-information",
            expires_ms: -1,
        },
    }
}

/// Text as a server shows it that reads markup (specification, "Markup").
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_shown_as_it_is() {
        assert_eq!(escape("a <b>&amp;</b>"), "a &lt;b&gt;&amp;amp;&lt;/b&gt;");
    }
}
