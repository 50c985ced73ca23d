//! Floor 3 of depthcast: the engine.
