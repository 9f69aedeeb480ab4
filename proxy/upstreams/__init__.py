"""One module a vendor, all of one shape: a pure transform of its wire format, and the transport they share."""
