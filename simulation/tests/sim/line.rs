//! Connections between clients, routers and nodes: bytes that arrive in order after a while, wait for whoever does not read them, are
//! cut anywhere when the connection breaks, and hang in a partition, to go on or break when it ends.
//!
//! A process that dies closes its connections; of a machine without power nobody hears until it is up again.

use crate::{
    host::Up,
    net::{Act, CONNECT_MS, HostId, Message, S3_PORT, Wires, digest},
};
use bulkhead_loadtest::client as loadtest;
use bulkhead_service::{client as service, env::Clock};
use bytes::{Buf as _, Bytes};
use futures::future::BoxFuture;
use http::Uri;
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
    time::timeout,
};

/// Bytes of one direction that may be under way or unread. Who writes more waits.
const WINDOW: usize = 64 << 10;

/// Which end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Who asked for the connection.
    Caller,
    Called,
}

impl End {
    pub const BOTH: [Self; 2] = [Self::Caller, Self::Called];

    pub fn other(self) -> Self {
        match self {
            Self::Caller => Self::Called,
            Self::Called => Self::Caller,
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Caller => 0,
            Self::Called => 1,
        }
    }
}

/// A connection, whoever has its ends.
pub struct Connection {
    pub number: u64,
    hosts: [HostId; 2],
    /// Bytes of it were lost: nothing more arrives.
    torn: AtomicBool,
    /// What each end has to read, and how it stands.
    sides: Mutex<[Side; 2]>,
}

/// One end.
#[derive(Default)]
struct Side {
    arrived: VecDeque<Bytes>,
    /// Bytes that the other end wrote and this one has not read.
    owed: usize,
    /// The other end writes no more.
    ended: bool,
    /// The other end is gone.
    gone: bool,
    /// It was broken on the way.
    broken: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Connection {
    pub fn host(&self, end: End) -> HostId {
        self.hosts[end.index()]
    }

    pub fn is_torn(&self) -> bool {
        self.torn.load(Ordering::Relaxed)
    }

    /// Nothing more arrives. Says whether that is new.
    pub fn tear(&self) -> bool {
        !self.torn.swap(true, Ordering::Relaxed)
    }

    /// An end hears that the connection is broken.
    pub fn break_at(&self, end: End) {
        self.change(end, |side| side.broken = true);
    }

    /// Changes an end, and wakes who waits there.
    fn change(&self, end: End, change: impl FnOnce(&mut Side)) {
        let woken = {
            let side = &mut self.sides.lock()[end.index()];
            change(side);
            [side.reader.take(), side.writer.take()]
        };
        woken.into_iter().flatten().for_each(Waker::wake);
    }
}

/// One end, in the hands of whoever reads and writes there.
pub struct Line {
    wires: Wires,
    connection: Arc<Connection>,
    end: End,
    has_ended: bool,
}

impl Line {
    /// Who asked for the connection.
    pub fn caller(&self) -> HostId {
        self.connection.host(End::Caller)
    }

    fn send(&self, label: &str, change: impl FnOnce(&mut Side) + Send + 'static) {
        let (connection, to) = (Arc::clone(&self.connection), self.end.other());
        let label = format!("#{} {label}", connection.number);
        let (from, target) = (connection.host(self.end), connection.host(to));
        let of = Some((Arc::clone(&connection), self.end));
        let act = Act::End(Box::new(move || connection.change(to, change)));
        self.wires.send(Message { from, to: target, label, act, of });
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let other = self.end.other();
        if !self.wires.is_orphan(self.connection.host(self.end), &self.connection, other) {
            self.send("closes", |side| (side.ended, side.gone) = (true, true));
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        {
            let side = &mut self.connection.sides.lock()[self.end.index()];
            if side.broken {
                return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
            }
            let Some(first) = side.arrived.front_mut() else {
                if side.ended {
                    return Poll::Ready(Ok(()));
                }
                side.reader = Some(cx.waker().clone());
                return Poll::Pending;
            };
            let taken = first.len().min(buffer.remaining());
            buffer.put_slice(&first[..taken]);
            first.advance(taken);
            if first.is_empty() {
                side.arrived.pop_front();
            }
            side.owed -= taken;
        }
        // The other end has room again.
        self.connection.change(self.end.other(), |_| {});
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let taken = {
            let sides = &mut *self.connection.sides.lock();
            let [ours, theirs] = [self.end, self.end.other()].map(End::index);
            if self.has_ended || sides[ours].broken || sides[ours].gone {
                return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
            }
            let taken = bytes.len().min(WINDOW - sides[theirs].owed);
            if taken == 0 && !bytes.is_empty() {
                sides[ours].writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            sides[theirs].owed += taken;
            taken
        };
        let piece = Bytes::copy_from_slice(&bytes[..taken]);
        self.send(&digest(&undated(&piece)), move |side| side.arrived.push_back(piece));
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.has_ended {
            self.has_ended = true;
            self.send("ends", |side| side.ended = true);
        }
        Poll::Ready(Ok(()))
    }
}

/// An answer without its `Date`, which an HTTP server takes from the machine.
fn undated(piece: &Bytes) -> Bytes {
    const DATE: &[u8] = b"\r\ndate: ";
    if !piece.starts_with(b"HTTP/1.1 ") {
        return piece.clone();
    }
    let mut text = piece.to_vec();
    let found: Vec<usize> =
        text.windows(DATE.len()).enumerate().filter(|(_, at)| *at == DATE).map(|(at, _)| at).collect();
    for at in found {
        text[at + DATE.len()..].iter_mut().take_while(|byte| **byte != b'\r').for_each(|byte| *byte = b'-');
    }
    text.into()
}

/// Serves a connection, as the host that is called.
pub type Door = Arc<dyn Fn(Line) -> BoxFuture<'static, ()> + Send + Sync>;

/// Opens a connection.
async fn connect(wires: Wires, from: HostId, to: HostId) -> io::Result<Line> {
    let (answer, wait) = oneshot::channel();
    let number = wires.connection();
    let label = format!("#{number} connects");
    let slot = Arc::new(Mutex::new(Some(answer)));
    let (over, of) = (wires.clone(), Arc::clone(&slot));
    let start = Box::new(move |up: &Up| {
        let Some(answer) = of.lock().take() else { return };
        let Some(door) = up.door.get() else { return drop(answer.send(Err(ErrorKind::ConnectionRefused))) };
        let connection =
            Arc::new(Connection { number, hosts: [from, to], torn: AtomicBool::new(false), sides: Mutex::default() });
        let [ours, theirs] = End::BOTH.map(|end| Line {
            wires: over.clone(),
            connection: Arc::clone(&connection),
            end,
            has_ended: false,
        });
        up.runtime.spawn(door(theirs));
        let act = Act::End(Box::new(move || drop(answer.send(Ok(ours)))));
        over.send(Message { from: to, to: from, label: format!("#{number} is connected"), act, of: None });
    });
    let refused = Box::new(move || {
        if let Some(answer) = slot.lock().take() {
            drop(answer.send(Err(ErrorKind::ConnectionRefused)));
        }
    });
    wires.send(Message { from, to, label, act: Act::Begin { start, refused }, of: None });
    match timeout(Duration::from_millis(CONNECT_MS), wait).await {
        Ok(Ok(connected)) => connected.map_err(io::Error::from),
        Ok(Err(_)) => Err(ErrorKind::ConnectionReset.into()),
        Err(_) => Err(ErrorKind::TimedOut.into()),
    }
}

/// How a host opens connections to others, and the time it has.
pub struct Exchange {
    pub host: HostId,
    pub wires: Wires,
    pub clock: Clock,
}

impl Exchange {
    fn open(&self, port: Option<u16>) -> impl Future<Output = io::Result<Line>> + Send + 'static {
        let to = HostId::from(port.unwrap_or(S3_PORT).saturating_sub(S3_PORT));
        connect(self.wires.clone(), self.host, to)
    }
}

impl service::Dial for Exchange {
    fn dial(&self, to: &Uri) -> BoxFuture<'static, io::Result<Box<dyn service::Line>>> {
        let opening = self.open(to.port_u16());
        Box::pin(async move { Ok(Box::new(opening.await?) as Box<dyn service::Line>) })
    }
}

impl loadtest::Elsewhere for Exchange {
    fn connect(&self, to: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn loadtest::Line>>> {
        let opening = self.open(Some(to.port()));
        Box::pin(async move { Ok(Box::new(opening.await?) as Box<dyn loadtest::Line>) })
    }

    fn wall(&self) -> time::OffsetDateTime {
        let nanoseconds = i128::from(self.clock.wall().0) * 1_000_000;
        time::OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).expect("a time of this century")
    }
}
