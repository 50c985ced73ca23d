//! The versioned order book.
