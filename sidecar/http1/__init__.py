"""HTTP/1.1 on the wire: what arrives from the client, what goes to the upstream, and back.

The modules, from pure to busy
------------------------------
`fields`, `message`   which bytes are a head we accept, and what it means
`onward`              how that head is written for the next hop
`foreign`             what an answer looks like that is not HTTP/1.x
`body`                where a body ends
`deadlines`           one coarse tick instead of a timer for each request
`arrived`             what arrived before a write failed
`connection`          what both sides share: read one message into a sink, write with back-pressure
`server`, `upstream`  the client's side and the other; each begins with its table of states
`tls`                 an upstream's connection that is encrypted
`upload`              a request's body on its way up, kept for a second send while it is small
`tunnel`              a WebSocket, once both sides have agreed to one
`dial`, `pool`        opening connections to an origin, and keeping them
`relay`               one request and its answer, between a client and a pool: what `sidecar.proxy` tells to do

*The story* is `sidecar.proxy`: one task for each client connection, which decides what is sent where. Nothing in
here decides that.

Framing
-------
A head is looked at when its empty line is here, never before, by a fresh llhttp parser that sees nothing
else: it judges, and the lines it has passed are read by `fields`. So where a message ends is never up to a
parser that remembers an earlier one, or that stops at an `Upgrade` or a CONNECT. A head with the very bytes of
the one before it on its connection was judged with that one, and is not read again (a request's target may differ;
that is for `core.target` to judge).

The length of a body has one source (rule 4 of `message`). What is doubtful is refused, answered once, and its
connection closed, because whoever sent it may have meant the bytes behind it differently.

A sized body is counted; a chunked one is decoded and written anew, in chunks of our own. An answer that lasts
until its connection ends goes out chunked (or, to HTTP/1.0, until the end). A body that breaks off is broken
off for the other side too: by a reset, or a missing last chunk, never by what could pass for its end.

Who owns the bytes
------------------
1. What a transport reads belongs to its `Connection`, as what is *held*: a head in the making, the start of a
   body nobody has asked for yet, a pipelined request. More than HIGH_WATER (64 KiB) held stops the reading.
2. `pipe(sink)` hands on what is held, and from then on each read, in the same turn of the event loop. A sink
   keeps nothing: it writes to its own transport at once. Only `upload` keeps a copy, of at most 64 KiB, paid
   for from one budget.
3. What was given to a transport is the transport's. Above HIGH_WATER it says so, and the connection that
   feeds it (its *source*) stops reading until LOW_WATER (16 KiB): a slow reader slows its sender, and between
   the two lie at most HIGH_WATER, one read, and the kernel's own buffers. The exception is an upstream that has closed
   during an upload: what arrived of its answer is handed on at once, at most 1 MiB, because it cannot be read later.
4. `tls` lends the event loop one buffer for all connections, and copies out of it before anybody else runs.

Who may close what
------------------
| who          | closes                    | when, and how                                              |
| ------------ | ------------------------- | ---------------------------------------------------------- |
| the story    | the upstream's connection | gives it back to its pool, which keeps or closes it; in    |
|              |                           | the middle of an exchange it is cut off with a reset       |
| the story    | the client's connection   | `finish` after the last answer, `cut` in the middle of one |
| a connection | itself                    | its peer broke the rules, or was silent too long           |
| `tunnel`     | one direction             | when its source has ended; both when either breaks         |
| `pool`       | idle connections          | too old, too many, or no longer configured                 |
|              | parting ones              | cut off, the oldest first, when there are too many         |
| the listener | every client              | at the end of a drain                                      |

The client's own leaving cancels its story, and with it the exchange. Nobody else closes anything. There are two
ways: `close` is polite, behind what was written and within LINGER (2 s); `abort` is a TCP reset. A client that is still
sending when it is answered is read on first, for LINGER_IN_ALL (30 s) and LINGER_BYTES (16 MiB) at most.
"""
