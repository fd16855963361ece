"""Why a token request was refused: the server's own text, whose fault it is, and what to do."""
