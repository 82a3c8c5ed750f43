//! A connection as a byte stream.

use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll};

use smoltcp::socket::tcp::{RecvError, Socket};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::agent::Agent;
use super::endpoint::Endpoint;

/// One agent's connection. Dropped without having been shut down, it is reset.
pub struct Stream {
    endpoint: Endpoint,
    agent: Agent,
    id: u64,
}

impl Stream {
    /// The connection of that number.
    pub fn new(endpoint: Endpoint, agent: Agent, id: u64) -> Stream {
        Stream { endpoint, agent, id }
    }

    /// Uses the connection; one that is gone was reset.
    fn with<T>(&self, on: impl FnOnce(&mut Socket<'static>) -> Poll<Result<T>>) -> Poll<Result<T>> {
        let used = self.endpoint.stacks().with(&self.agent, self.id, on);
        match used {
            Some(Poll::Pending) => Poll::Pending,
            Some(done) => {
                self.endpoint.touch();
                done
            }
            None => Poll::Ready(Err(ErrorKind::ConnectionReset.into())),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let read = self.with(|socket| {
            if !socket.can_recv() && socket.may_recv() {
                socket.register_recv_waker(context.waker());
                return Poll::Pending;
            }
            match socket.recv_slice(into.initialize_unfilled()) {
                Ok(read) => Poll::Ready(Ok(read)),
                Err(RecvError::Finished) => Poll::Ready(Ok(0)),
                Err(RecvError::InvalidState) => Poll::Ready(Err(ErrorKind::ConnectionReset.into())),
            }
        });
        read.map_ok(|read| {
            into.advance(read);
            if read > 0 {
                self.endpoint.stacks().heard(&self.agent, self.id);
            }
        })
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.with(|socket| {
            if socket.may_send() && !socket.can_send() && !bytes.is_empty() {
                socket.register_send_waker(context.waker());
                return Poll::Pending;
            }
            Poll::Ready(socket.send_slice(bytes).map_err(|_| Error::from(ErrorKind::BrokenPipe)))
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        // What is in the buffer goes by itself.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        self.with(|socket| {
            socket.close();
            Poll::Ready(Ok(()))
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.endpoint.stacks().release(&self.agent, self.id);
        self.endpoint.touch();
    }
}
