//! The router against fakes of its neighbours, over real sockets.

mod containing;
mod forwarding;
mod retrying;
mod settings;
mod support;
