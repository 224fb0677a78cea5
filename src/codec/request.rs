//! The messages that clients send, with their parameters checked.

use super::Refusal;
use crate::protocol::{
    HelloParams, ListParams, ReportParams, SessionParams, SetParams, StopParams, SubscribeParams,
};

/// One message. The first three need something that only the daemon's shell knows before the core can handle them.
#[derive(Debug)]
pub enum Message<'a> {
    /// `session.report`: its event is still in the agent's own words.
    Report(Box<ReportParams<'a>>),
    /// `session.set`: the process of its `pid` is still to be looked up.
    Set(Box<SetParams>),
    /// `daemon.status`: the daemon's memory is still to be measured.
    Status,
    /// Any other request.
    Request(Request),
    /// No request.
    Refused(Refusal),
}

/// A request that is complete as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `hello`
    Hello(HelloParams),
    /// `session.list`
    SessionList(ListParams),
    /// `session.count`
    SessionCount,
    /// `session.get`
    SessionGet(SessionParams),
    /// `session.explain`
    SessionExplain(SessionParams),
    /// `session.seen`
    SessionSeen(SessionParams),
    /// `session.remove`
    SessionRemove(SessionParams),
    /// `subscribe`
    Subscribe(SubscribeParams),
    /// `usage.get`
    UsageGet,
    /// `usage.refresh`
    UsageRefresh,
    /// `daemon.stop`
    DaemonStop(StopParams),
    /// `daemon.reload`
    DaemonReload,
}
