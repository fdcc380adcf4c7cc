"""Both doors of a host, over real sockets, with commands that a test writes down."""
