"""Types that every room uses: errors, secrets, addresses, labels, an LRU. Pure, and standard library only."""
