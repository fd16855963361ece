"""HTTP/1.1 on the wire: what arrives from the client, what goes to the upstream, and back.

`message` decides what a head means, `onward` writes it for the next hop, `body` tells where a body ends: all
three are pure. `connection` is what both sides of an exchange share: one message read at a time into a sink,
written with back-pressure. `server` is the client's side, `upstream` the other, `pool` keeps and `dial` opens
connections to an origin. `relay` brings one request and its answer across, `upload` holds the request's body for
a second send, `deadlines` closes what has been silent too long.

Who owns what: a connection owns the bytes it has read until they are piped into a sink; bytes given to a
transport belong to the transport. The story (`sidecar.proxy`) alone ends an exchange: it gives an upstream
connection back to its pool or closes it, and it says when a client's connection closes. A connection closes
itself only when its peer broke the rules or the silence lasted too long.
"""
