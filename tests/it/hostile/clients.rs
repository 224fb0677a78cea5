//! Clients that send bytes of any kind, go at the wrong moment, or send more than bytes.

use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::json;

use super::Usage;
use crate::support::{Bystanders, Place, open_many, until};

const SUBSCRIBE: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\"}\n";

/// Bytes without any order, the same in every run (xorshift).
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let bytes = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    });
    bytes.take(length).collect()
}

#[test]
fn noise_harms_no_other_client() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut bystanders = Bystanders::at(&place);
    bystanders.are_served();
    let usage = Usage::of(&daemon);
    for seed in 1..=200 {
        let mut socket = UnixStream::connect(place.socket()).unwrap();
        // The daemon ends the connection in the midst of a line that is too long.
        let _ = socket.write_all(&noise(seed, 100_000));
        if seed % 20 == 0 {
            bystanders.are_served();
        }
    }
    usage.is_restored(&daemon, &mut bystanders);
}

#[test]
fn clients_that_go_before_their_answer_leave_nothing_behind() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut bystanders = Bystanders::at(&place);
    for number in 0..50 {
        let session = format!("session {number}");
        bystanders.ask("session.set", json!({"session": session, "status": "idle"}));
    }
    bystanders.are_served();
    let usage = Usage::of(&daemon);
    let requests = [
        SUBSCRIBE.repeat(50),
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.list\"}\n".repeat(50),
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"daemon.reload\"}\n".to_vec(),
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"usage.refresh\"}\n".to_vec(),
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"meth".to_vec(),
        Vec::new(),
    ];
    for number in 0..300 {
        let mut socket = UnixStream::connect(place.socket()).unwrap();
        let _ = socket.write_all(&requests[number % requests.len()]);
        if number % 2 == 0 {
            socket.shutdown(Shutdown::Both).unwrap();
        }
    }
    // The reloads have added notices, which the other dashboard has received like any notification.
    let mut others = Bystanders::at(&place);
    others.are_served();
    drop(others);
    until("the dashboards to be forgotten", || {
        let status = bystanders.ask("daemon.status", json!({}));
        (status["result"]["dashboards"] == 1).then_some(())
    });
    usage.is_left(&daemon);
}

#[test]
fn a_request_that_comes_byte_by_byte_is_answered_and_delays_no_other() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut bystanders = Bystanders::at(&place);
    bystanders.are_served();
    let usage = Usage::of(&daemon);
    let mut slow: Vec<_> = (0..20).map(|_| place.connect()).collect();
    for (number, byte) in SUBSCRIBE.iter().enumerate() {
        for wire in &mut slow {
            wire.send(&[*byte]);
        }
        if number % 10 == 0 {
            bystanders.are_served();
        }
    }
    for wire in &mut slow {
        assert!(wire.next().unwrap()["result"]["sessions"].is_array());
    }
    drop(slow);
    usage.is_restored(&daemon, &mut bystanders);
}

#[test]
fn a_client_that_sends_no_more_gets_its_answers_and_then_the_end() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut bystanders = Bystanders::at(&place);
    bystanders.are_served();
    let usage = Usage::of(&daemon);
    let mut half = place.connect();
    half.send(SUBSCRIBE);
    half.socket().shutdown(Shutdown::Write).unwrap();
    assert!(half.next().unwrap()["result"]["sessions"].is_array());
    assert_eq!(half.next(), None);
    usage.is_restored(&daemon, &mut bystanders);
}

#[test]
fn descriptors_that_a_client_sends_are_not_kept() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut bystanders = Bystanders::at(&place);
    bystanders.are_served();
    let usage = Usage::of(&daemon);
    let mut wire = place.connect();
    let (_reader, writer) = std::io::pipe().unwrap();
    let sent_with = [writer.as_fd()];
    for _ in 0..100 {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&sent_with)));
        let line = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hello\"}\n";
        let flags = SendFlags::empty();
        let sent = sendmsg(wire.socket(), &[IoSlice::new(line)], &mut control, flags);
        assert_eq!(sent.unwrap(), line.len());
        assert_eq!(wire.next().unwrap()["result"]["protocol"], 1);
    }
    // The client's own connection alone.
    assert!(daemon.descriptors() <= usage.descriptors + 1);
    drop(wire);
    usage.is_restored(&daemon, &mut bystanders);
}

#[test]
fn a_flood_of_connections_leaves_room_for_another_client() {
    open_many();
    let place = Place::new();
    let daemon = place.daemon();
    let mut bystanders = Bystanders::at(&place);
    bystanders.are_served();
    let usage = Usage::of(&daemon);
    for _ in 0..5 {
        let flood: Vec<_> = (0..400)
            .map(|_| UnixStream::connect(place.socket()).unwrap())
            .collect();
        bystanders.are_served();
        drop(flood);
    }
    usage.is_restored(&daemon, &mut bystanders);
}
