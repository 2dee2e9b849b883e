use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, Interest, ReadBuf};
use tokio::net::TcpStream;

/// A byte stream that is written to as soon as there is something, without waking a task for it.
pub(crate) enum Stream {
    /// A socket.
    Tcp(TcpStream),
    /// A pipe within the process; boxed, since most streams are sockets.
    Pipe(Box<Pipe>),
}

/// One end of a pipe.
pub(crate) struct Pipe {
    end: RefCell<DuplexStream>,
    /// Who is woken when it can take more.
    waker: RefCell<Option<Waker>>,
}

impl Stream {
    pub(crate) fn pipe(pipe: DuplexStream) -> Self {
        let (end, waker) = (RefCell::new(pipe), RefCell::default());
        Self::Pipe(Box::new(Pipe { end, waker }))
    }

    /// Writes as much as it takes at once; a pipe that takes less has registered who is woken.
    ///
    /// # Errors
    /// `WouldBlock` where it takes nothing; then [`Stream::poll_room`] tells when it does.
    pub(crate) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => match slices {
                // One slice is the common case, and a plain write is a little cheaper.
                [only] => socket.try_write(only),
                _ => socket.try_write_vectored(slices),
            },
            Self::Pipe(pipe) => {
                let waker = pipe.waker.borrow().clone().unwrap_or_else(|| Waker::noop().clone());
                let mut cx = Context::from_waker(&waker);
                let mut written = 0;
                for slice in slices {
                    let mut rest: &[u8] = slice;
                    while !rest.is_empty() {
                        match Pin::new(&mut *pipe.end.borrow_mut()).poll_write(&mut cx, rest) {
                            Poll::Ready(Ok(count)) => {
                                written += count;
                                rest = rest.get(count..).unwrap_or_default();
                            }
                            Poll::Ready(Err(error)) => return Err(error),
                            Poll::Pending if written > 0 => return Ok(written),
                            Poll::Pending => return Err(io::ErrorKind::WouldBlock.into()),
                        }
                    }
                }
                Ok(written)
            }
        }
    }

    /// Waits until it may take more.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(socket) => socket.poll_write_ready(cx),
            // The next write says whether there is room, and registers who is woken.
            Self::Pipe(pipe) => {
                *pipe.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Reads what there is; 0 is the end.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(socket) => loop {
                match socket.poll_read_ready(cx) {
                    Poll::Ready(Ok(())) => match socket.try_read(buffer) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        result => {
                            if let Ok(count @ 1..) = result
                                && count < buffer.len()
                            {
                                note_emptied(socket);
                            }
                            return Poll::Ready(result);
                        }
                    },
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                }
            },
            Self::Pipe(pipe) => {
                *pipe.waker.borrow_mut() = Some(cx.waker().clone());
                let mut buffer = ReadBuf::new(buffer);
                match Pin::new(&mut *pipe.end.borrow_mut()).poll_read(cx, &mut buffer) {
                    Poll::Ready(Ok(())) => Poll::Ready(Ok(buffer.filled().len())),
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    /// Whether bytes have arrived that were not read yet, as far as that can be told.
    pub(crate) fn has_unread(&self, is_read: bool) -> bool {
        match self {
            // Asks the kernel: what the runtime knows of the socket may be older.
            Self::Tcp(socket) => {
                let mut byte = [MaybeUninit::uninit()];
                socket2::SockRef::from(socket).peek(&mut byte).is_ok_and(|count| count > 0)
            }
            // What is in a pipe shows only to who reads it.
            Self::Pipe(_) => !is_read,
        }
    }

    /// Says that nothing more will be written.
    pub(crate) fn shut_down(&self) {
        match self {
            // An error means that the peer is gone already.
            Self::Tcp(socket) => {
                let _ = socket2::SockRef::from(socket).shutdown(std::net::Shutdown::Write);
            }
            Self::Pipe(pipe) => {
                let mut cx = Context::from_waker(Waker::noop());
                let _ = Pin::new(&mut *pipe.end.borrow_mut()).poll_shutdown(&mut cx);
            }
        }
    }
}

/// A read that left room has emptied the socket (epoll(7)): until more comes, it need not be asked.
fn note_emptied(socket: &TcpStream) {
    // What would block is what tells the runtime.
    let _ = socket
        .try_io(Interest::READABLE, || -> io::Result<()> { Err(io::ErrorKind::WouldBlock.into()) });
}
