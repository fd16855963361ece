"""HTTP/1.1 on the wire: what arrives from the client, what goes to the upstream, and back.

The modules, from pure to busy
------------------------------
`headers`, `message`  which bytes are a head we accept, and what it means
`next_hop`            how that head is written for the next hop
`foreign`             what an answer looks like that is not HTTP/1.x
`body`                where a body ends
`deadlines`           one coarse tick instead of a timer for each request
`arrived`             what arrived before a write failed
`connection`          what both sides share: read one message into a sink, write with back-pressure
`server`, `upstream`  the client's side and the other; each begins with its table of states
`tls`                 an upstream's connection that is encrypted
`request_body`        a request's body on its way to the upstream, kept for a second send while it is small
`tunnel`              a WebSocket, once both sides have agreed to one
`dial`, `pool`        opening connections to an origin, and keeping them
`relay`               one request and its answer, between a client and a pool, as `sidecar.proxy` directs

*The story* is the task of `sidecar.proxy` that serves one client connection and decides what is sent where. Nothing in
this room decides that.

Framing
-------
A head is parsed once its empty line has arrived, never before. A fresh llhttp parser, which gets nothing else, accepts
or refuses it; `headers` reads the lines that it accepted. So the end of a message never depends on a parser that
remembers an earlier one, or that stops at an `Upgrade` or a CONNECT. A head with the very bytes of the one before it on
its connection was checked with that one, and is not read again (a request's target may differ; `proxy.target` checks
it).

The length of a body has one source (rule 4 of `message`). A doubtful message is refused and answered once, and its
connection is closed, because its sender may have meant the bytes after it differently.

A sized body is counted; a chunked one is decoded and written again in chunks of our own. An answer that lasts
until its connection ends goes out chunked (or, to HTTP/1.0, until the end). A body that breaks off is broken
off for the other side too: by a reset, or a missing last chunk, never by what could pass for its end.

Owners of the bytes
-------------------
1. What a transport reads belongs to its `Connection`, as what is *held*: an incomplete head, the
   start of a body that has no sink yet, a pipelined request. More than HIGH_WATER (64 KiB) held stops the reading.
2. `pipe(sink)` hands on what is held, and from then on each read, in the same turn of the event loop. A sink
   keeps nothing: it writes to its own transport at once. Only `request_body` keeps a copy, of at most 64 KiB, paid
   for from one budget.
3. Bytes given to a transport belong to the transport. Above HIGH_WATER it pauses its writer, and the connection
   that feeds it (its *source*) stops reading until LOW_WATER (16 KiB): a slow reader slows its sender, and between
   the two lie at most HIGH_WATER, one read, and the kernel's own buffers. The exception is an upstream that has closed
   during an upload: what arrived of its answer is handed on at once, at most 1 MiB, because it cannot be read later.
4. `tls` lends the event loop one buffer for all connections, and copies out of it before any other code runs.

What closes what
----------------
| part         | closes                    | when, and how                                              |
| ------------ | ------------------------- | ---------------------------------------------------------- |
| the story    | the upstream's connection | gives it back to its pool, which keeps or closes it; in    |
|              |                           | the middle of an exchange it is cut off with a reset       |
| the story    | the client's connection   | `finish` after the last answer, `cut` in the middle of one |
| a connection | itself                    | its peer broke the rules, or was silent too long           |
| `tunnel`     | one direction             | when its source has ended; both when either breaks         |
| `pool`       | idle connections          | too old, too many, or no longer configured                 |
|              | parting ones              | cut off, the oldest first, when there are too many         |
| the listener | every client              | at the end of a drain                                      |

When the client closes, its story is cancelled, and with it the exchange. No other part closes anything. There are two
ways: `close` sends what was written first, within LINGER (2 s); `abort` is a TCP reset. A client that is still sending
when it is answered is read on first, for LINGER_IN_ALL (30 s) and LINGER_BYTES (16 MiB) at most.
"""
