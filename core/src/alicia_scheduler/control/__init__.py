"""Commands to a running host, the same behind every door, and the doors: a WebSocket server in
the shape of Home Assistant's API on a Unix socket, and its client."""
