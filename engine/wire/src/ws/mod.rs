//! WebSocket (RFC 6455) frames and messages, both roles.
