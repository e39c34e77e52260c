//! Message transports for systems under test: plain datagrams and WebRTC data channels.
