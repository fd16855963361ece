"""HTTP/2 on the wire (RFC 9113): what arrives from the client, what goes to the upstream, and back.

The sidecar loads this room when a route uses it (`app.upstreams`). The sidecar does not translate between versions.

The modules, from pure functions to I/O
---------------------------------------
`frames`, `hpack`           which bytes are a frame, and a header block
`hpack_tables`              the tables of RFC 7541
`fields`, `heads`           a field, prepared once for the next hop, and what a head's fields become there
`header_block`              which fields are a message, and what it means
`limits`                    windows and allowances: what a peer may send and hold
`messages`                  requests and answers as the story reads them, and the blocks written for the next hop
`by_hand`                   running a story without a task
`outgoing`, `connection`    what is sent, and what is read: both sides of an exchange share it
`streams`                   one stream; begins with the table of its states
`server`, `upstream`        the client's side and the other; each begins with its table of states
`request_body`              a request's content, kept for a second send while it is small
`pool`                      the connections to an origin, and the line of requests for them
`relay`                     one request and its answer, as `sidecar.proxy` directs

Each module has the rules that it keeps at its head. Tests over raw frames prove them, cut at every byte.

A frame relay
-------------
A server and a client that pass messages to each other would cost ten times as much. So this room relays frames. Of a
DATA frame, only the stream's number changes. A field is written as the bytes that were prepared when the decoder first
read it. The encoder adds nothing to the dynamic table, so no block depends on an earlier one. The token is therefore
a piece of bytes that is appended.

*The story*, the coroutine of `sidecar.proxy` that handles a request, is the same as for HTTP/1.1, and calls the same
`Exchange`. It runs by hand, within the callback that brought the event it waits for. It becomes a task only when it
waits for something else.

Owners of the bytes
-------------------
1. A connection holds the part of a frame that has arrived, and the parts of a header block: at most a frame, and
   MAX_BLOCK.
2. Content goes to the other side's stream in the same turn of the event loop. What its windows do not allow waits
   there. It has not given its credit back, so the window of the sender's stream bounds it: STREAM_WINDOW. The
   connection gets its credit back on arrival, so a slow stream holds up no other, however many slow ones there are.
3. Content whose stream cannot be chosen yet (no token, no connection, a refusal that is being renewed) is kept by
   `request_body`, without credit. So is an answer's content before the story has decided about its head.
4. What one read causes is collected, and written once for each connection (`Outbox`). A transport above HIGH_WATER
   gets no more content until LOW_WATER.

What ends what
--------------
| part         | ends                      | when, and how                                                |
| ------------ | ------------------------- | ------------------------------------------------------------ |
| the story    | the upstream's stream     | when the answer is over; in the middle with a reset          |
| the story    | the client's stream       | `cut` in the middle of an answer: a reset with a code        |
| a stream     | itself                    | its peer broke a rule of streams, or has reset it            |
| a connection | itself, and its streams   | its peer broke a rule of connections, flooded it, or was idle |
| the pool     | an upstream's connection  | it is idle for too long, or no longer configured: GOAWAY     |
| the listener | a client's connection     | at a drain in two steps; at its end at once                  |

When the client resets a stream, or leaves, its story is cancelled, and with it the upstream's stream.
"""
