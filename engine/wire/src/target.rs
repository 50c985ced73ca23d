//! What a connection's URL asks for.
