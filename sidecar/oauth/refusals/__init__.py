"""Why a token request was refused: the server's own text, the party at fault, and the remedy."""
