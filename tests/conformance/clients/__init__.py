"""Real clients of HTTP/2 against a sidecar: a matrix of clients and what they do.

| module     | holds                                                                            |
| ---------- | -------------------------------------------------------------------------------- |
| `upstream` | what the upstream answers, by path                                               |
| `setting`  | a sidecar with that upstream, and running a command beside it                    |
| `commands` | curl, nghttp and h2load: a coroutine for each case                               |
| `programs` | the clients of this project in Go (`go/`) and Java (`java/`), built below build/ |
| `matrix`   | the cases, the run and the table                                                 |
"""
