"""The fleet's protocol as a model: `make protocol` checks it with spin, and what the page says of it."""
