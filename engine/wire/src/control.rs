//! Requests inside a connection (SUBSCRIBE and the like) and their replies.
